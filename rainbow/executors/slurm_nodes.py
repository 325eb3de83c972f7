"""sinfo's nodes as capacity."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rainbow.executors.executor import Capacity, SchedulerSilent

# Node, partition, whether that is up, state of the node, its CPUs as allocated/idle/other/total.
NODE_FORMAT = "%N|%P|%a|%T|%C"

# sinfo(1), "NODE STATE CODES": a suffix such as * (not responding) or $ (in maintenance) makes a node useless;
# ~ # + stand for nodes that save power and wake up for a job, - for one that is planned for another job.
USABLE = re.compile(r"(idle|mixed|planned|allocated|completing)[~#+-]?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    partition: str
    up: bool
    state: str
    idle: int

    @property
    def usable(self) -> bool:
        return self.up and bool(USABLE.fullmatch(self.state))

    @property
    def free(self) -> bool:
        return self.usable and self.idle > 0 and not self.state.startswith(("allocated", "completing"))


def free(text: str, *, chosen: bool) -> Capacity:
    listed = [_node(line) for line in text.splitlines()]
    if not chosen:
        listed = [node for node in listed if node.partition.endswith("*")]
    nodes = {node.name: node for node in listed}.values()
    if not nodes:
        return Capacity(not_ready="Slurm has no such partition" if chosen else "Slurm has no default partition")
    if not any(node.usable for node in nodes):
        return Capacity(not_ready=f"no node is in service: {_counted(nodes)}")
    ready = [node for node in nodes if node.free]
    return Capacity(nodes=len(ready), slots=sum(node.idle for node in ready))


def _node(line: str) -> Node:
    try:
        name, partition, available, state, cpus = line.split("|")
        return Node(name=name, partition=partition, up=available == "up", state=state, idle=int(cpus.split("/")[1]))
    except (ValueError, IndexError) as error:
        raise SchedulerSilent(f"sinfo said something that rainbow does not understand: {line!r}") from error


def _counted(nodes: Iterable[Node]) -> str:
    words = Counter(node.state if node.up else "in a partition that is not up" for node in nodes)
    return ", ".join(f"{count} {word}" for word, count in words.most_common())
