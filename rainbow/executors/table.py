"""The executors: a new one needs its class and its row here."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rainbow.errors import InvalidArgument
from rainbow.executors.environment import job_environment
from rainbow.executors.executor import Executor, Site
from rainbow.executors.flux import flux_executor
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm import SlurmExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorKind:
    """`interval_seconds` is how often an agent polls its jobs unless told otherwise.

    `probe` is a command with which a person can try the scheduler by hand, `options_of` the one that takes further
    options; empty where there is none. `is_here`: jobs run on the agent's own machine. `takes_persons`: it can run jobs
    as other users than the agent's.
    """

    make: Callable[[Site], Executor]
    interval_seconds: float
    probe: str = ""
    options_of: str = ""
    is_here: bool = False
    takes_persons: bool = False


EXECUTORS: Mapping[str, ExecutorKind] = {
    "slurm": ExecutorKind(
        make=SlurmExecutor, interval_seconds=1.0, probe="sinfo", options_of="sbatch", takes_persons=True
    ),
    "flux": ExecutorKind(
        make=flux_executor, interval_seconds=1.0, probe="flux resource list", options_of="flux submit"
    ),
    # Ends wake the agent; polls only find what has no process any more.
    "local": ExecutorKind(make=LocalExecutor, interval_seconds=1.0, is_here=True),
}


def make_executor(name: str, site: Site) -> Executor:
    """Raises InvalidArgument for options that the executor would ignore, and for a runtime that it cannot use."""
    kind = EXECUTORS[name]
    site.containers.check(name)
    if kind.is_here and site.containers.runtime:
        _check_program(site.containers.runtime, site)
    if site.options and not kind.options_of:
        takers = ", ".join(name for name, kind in EXECUTORS.items() if kind.options_of)
        raise InvalidArgument(f"{name} takes none; these do: {takers}", field="scheduler_options")
    if site.persons and not kind.takes_persons:
        takers = ", ".join(name for name, kind in EXECUTORS.items() if kind.takes_persons)
        raise InvalidArgument(f"{name} runs no jobs as other users; these do: {takers}", field="run_as_person")
    return kind.make(site)


def _check_program(name: str, site: Site) -> None:
    path = job_environment(site.environment, {})["PATH"]
    if not shutil.which(name, path=path):
        raise InvalidArgument(f"{name} is not on the PATH {path}", field="container_runtime")
