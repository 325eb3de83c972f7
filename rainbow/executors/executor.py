"""What the agent asks of a scheduler, and the words in which it gets its answers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from rainbow.errors import FailedPrecondition, Unavailable
from rainbow.specs import Work

KEPT_OUTPUT_BYTES = 1024**3


class WorkRefused(FailedPrecondition):
    """The scheduler will never take this; the message has its words."""


class SchedulerSilent(Unavailable):
    """No answer, or none that can be relied on: neither success nor failure. Ask again later.

    After a silent `submit` the scheduler may have the job all the same: `find` it before the next try.
    """


class JobPhase(StrEnum):
    """Where a job is in its scheduler. `gone`: the scheduler no longer knows it, and it left no word of its end."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"


class Ending(StrEnum):
    """How a job ended. `failed`: the scheduler gave up on it, so that there is no exit code of its own."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"
    NODE_FAILED = "node_failed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A job that a scheduler has: the name that we gave it, and the scheduler's own id of it."""

    key: str
    native_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What is free now. `not_ready` says why nothing can run, whatever is free; empty when all is well."""

    nodes: int = 0
    slots: int = 0
    not_ready: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a job goes. `reason` is for people: why it waits, or why it ended as it did; it may be empty.

    `ending` is set once it ended; `exit_code` only where the job ended by itself, `signal` where one killed it.
    """

    phase: JobPhase
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ending: Ending | None = None
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a scheduler is reached, for people. `advice` says what would do better; empty where nothing would."""

    words: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the agent runs.

    `folder` is the agent's own; for Slurm and Flux the compute nodes must see it under the same path.
    `environment` is the agent's; jobs and scheduler commands get a few known variables of it and no others.
    `options` go with each submission to the scheduler, such as `--partition=debug`.
    `slots` is how much the local executor runs at once; 0 means one for each CPU.
    `kept_output_bytes` is how much of a job's output is kept, not counting its end.
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    options: tuple[str, ...] = ()
    slots: int = 0
    kept_output_bytes: int = KEPT_OUTPUT_BYTES


class Executor(Protocol):
    """An adapter to one scheduler. Every call may raise SchedulerSilent, and none waits without end.

    A key is 1 to 100 letters, digits, dots, underscores and hyphens; it names one job for ever.
    """

    @property
    def way(self) -> Way: ...

    def capacity(self) -> Capacity: ...

    def slots(self, work: Work) -> int:
        """How many slots of the capacity the work takes."""

    def never(self, work: Work) -> str:
        """Why this work can never run here, whatever becomes free; empty where only its scheduler can tell."""

    def submit(self, work: Work, key: str) -> str:
        """Hand the work over and return its native id. Raises WorkRefused."""

    def find(self, keys: Collection[str]) -> dict[str, str]:
        """The native ids of those keys that the scheduler has or had; the others were never handed over."""

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        """The progress of each, by key. Left out is what could not be looked up this time."""

    def cancel(self, tickets: Collection[Ticket]) -> None:
        """Ask for these jobs to stop; `watch` tells when they did. Nothing happens to those that are over."""

    def output(self, ticket: Ticket) -> str:
        """The end of what the job wrote so far, at most 64 KiB of UTF-8."""

    def forget(self, ticket: Ticket) -> None:
        """Remove what is kept on disk of a job that is over and reported."""

    def tidy(self, running: Collection[Ticket]) -> bool:
        """Keep the disk in bounds, for a fraction of a second; whether there is more to do."""
