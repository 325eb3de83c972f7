"""The adapters to schedulers, one for each."""

from collections.abc import Callable, Mapping

from rainbow.executors.executor import (
    Capacity,
    Ending,
    Executor,
    JobPhase,
    Progress,
    SchedulerSilent,
    Site,
    Ticket,
    Way,
    Work,
    WorkRefused,
)
from rainbow.executors.flux import flux_executor
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm import SlurmExecutor

EXECUTORS: Mapping[str, Callable[[Site], Executor]] = {
    "slurm": SlurmExecutor,
    "flux": flux_executor,
    "local": LocalExecutor,
}

__all__ = [
    "EXECUTORS",
    "Capacity",
    "Ending",
    "Executor",
    "JobPhase",
    "Progress",
    "SchedulerSilent",
    "Site",
    "Ticket",
    "Way",
    "Work",
    "WorkRefused",
]
