"""The executors, one row for each: the only place to touch for a new one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rainbow.executors.executor import Executor, Site
from rainbow.executors.flux import flux_executor
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm import SlurmExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorKind:
    """`interval_seconds` is how often an agent polls its jobs unless told otherwise.

    `probe` is a command with which a person can try the scheduler by hand; empty where there is none.
    """

    make: Callable[[Site], Executor]
    interval_seconds: float
    probe: str = ""


EXECUTORS: Mapping[str, ExecutorKind] = {
    "slurm": ExecutorKind(make=SlurmExecutor, interval_seconds=1.0, probe="sinfo"),
    "flux": ExecutorKind(make=flux_executor, interval_seconds=1.0, probe="flux resource list"),
    # A poll costs a scheduler a call, and this machine next to nothing.
    "local": ExecutorKind(make=LocalExecutor, interval_seconds=0.2),
}
