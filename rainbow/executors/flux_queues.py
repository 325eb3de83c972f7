"""Flux's queues as capacity."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rainbow.executors.executor import Capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxQueue:
    """An instance without named queues has one whose name is empty."""

    name: str
    is_default: bool
    enabled: bool
    started: bool
    up_nodes: int
    down_nodes: int
    free_nodes: int
    free_cores: int


def capacity(queues: Iterable[FluxQueue], *, chosen: str, status: Callable[[str], str]) -> Capacity:
    """What is free in the chosen queue, or else the default one. `status` says why a queue is closed."""
    by_name = {queue.name: queue for queue in queues}
    default = next((queue for queue in by_name.values() if queue.is_default or not queue.name), None)
    queue = by_name.get(chosen) if chosen else default
    if queue is None:
        return Capacity(not_ready=f"Flux has no queue {chosen}" if chosen else "Flux has no default queue")
    if not (queue.enabled and queue.started):
        return Capacity(not_ready=status(queue.name))
    if not queue.up_nodes:
        return Capacity(not_ready=f"no node is up: {queue.down_nodes} down")
    return Capacity(nodes=queue.free_nodes, slots=queue.free_cores)
