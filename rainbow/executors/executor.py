"""The interface of a scheduler to the agent."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from rainbow.errors import FailedPrecondition, Unavailable
from rainbow.executors.containers import Containers
from rainbow.executors.folders import MOST_LISTED, Listed
from rainbow.facts import Facts
from rainbow.specs import Work
from rainbow.system.disk_space import DiskFull

KEPT_OUTPUT_BYTES = 1024**3


class WorkRefused(FailedPrecondition):
    """The scheduler will never take this; the message has its words."""


class SchedulerSilent(Unavailable):
    """No answer, or none to rely on: neither success nor failure. Ask again later.

    After a silent `submit` the scheduler may have the job: `find` it before the next try.
    """


class NotTaken(SchedulerSilent):
    """The scheduler takes no such job for now, and certainly has not got this one."""


class NoRoom(NotTaken):
    """Others have what it needs. That is no trouble: they will end."""


class MayStart(DiskFull):
    """A full disk takes no claims of the jobs with these keys: what of them arrives late at the scheduler would run."""

    def __init__(self, keys: Collection[str]) -> None:
        shown = ", ".join(sorted(keys)[:10])
        super().__init__(f"disk full: cannot keep {shown} from a start that comes late")
        self.keys = keys


class JobPhase(StrEnum):
    """`gone`: the scheduler no longer knows the job, and there is no record of its end."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"


class Ending(StrEnum):
    """`failed`: the scheduler gave up on it, so there is no exit code. The last two never started: `refused` by the
    site or the scheduler, `withdrawn` from the scheduler because it did not start in time.
    """

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"
    NODE_FAILED = "node_failed"
    OUT_OF_MEMORY = "out_of_memory"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A job that a scheduler has: our name for it, and the scheduler's id."""

    key: str
    native_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What is free now. `not_ready` says why nothing can run whatever is free; otherwise it is empty."""

    nodes: int = 0
    slots: int = 0
    not_ready: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`reason` says why the job waits, or why it ended as it did; it may be empty. `ending` is set once it ended,
    `exit_code` where it ended by itself, `signal` where one killed it.
    """

    phase: JobPhase
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ending: Ending | None = None
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a scheduler is reached. `advice` says what would be better; empty where nothing would.

    `at_once`: how many threads may be in `submit` together. `tells_ends`: it notifies of each end. `tells_changes`: of
    each change, and `watch` says only what changed. `waits_for_room`: its `submit` waits for a moment until others end,
    and raises NoRoom where none do; so it is called in a thread.
    """

    description: str
    advice: str = ""
    at_once: int = 1
    tells_ends: bool = False
    tells_changes: bool = False
    waits_for_room: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the agent runs.

    `folder` is the agent's own; for Slurm and Flux the compute nodes must see it under the same path.
    `environment` is the agent's; jobs and scheduler commands get a few known variables of it and no others.
    `options` go with each submission to the scheduler, such as `--partition=debug`.
    `slots` is how much the local executor runs at once; 0 means one for each CPU.
    `kept_output_bytes` is how much of a job's output is kept, not counting its end.
    `containers` is how jobs that name an image run.
    `persons` has a folder for each user that jobs run as; None where they run as the agent's user.
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    options: tuple[str, ...] = ()
    slots: int = 0
    kept_output_bytes: int = KEPT_OUTPUT_BYTES
    containers: Containers = field(default_factory=Containers)
    persons: Path | None = None


class Executor(Protocol):
    """An adapter to one scheduler. Every call may raise SchedulerSilent, and each has a time limit.

    A key is 1 to 100 letters, digits, dots, underscores and hyphens, and names one job for ever.
    """

    @property
    def access(self) -> Access: ...

    def capacity(self) -> Capacity: ...

    def facts(self) -> Facts:
        """What the scheduler has, whatever is free now. Another thread may be in another call meanwhile."""

    def slots(self, work: Work) -> int:
        """How many slots of the capacity the work takes."""

    def never(self, work: Work) -> str:
        """Why this work can never run here; empty where only the scheduler can tell."""

    def submit(self, work: Work, key: str) -> str:
        """Hand the work over; returns its native id. Raises WorkRefused."""

    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        """The keys of works that one call of `submit_together` takes, two or more for each call. Never raises."""

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        """Hand a batch over; returns the native ids of what the scheduler took, by key. It has none of the others.

        Raises as `submit`.
        """

    def find(self, keys: Collection[str]) -> dict[str, str]:
        """The native ids of those keys that the scheduler has or had; the others were never handed over."""

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        """By key. A job whose progress is unknown this time, or certainly did not change, is left out."""

    def notify(self, changed: Callable[[], None]) -> None:
        """Call `changed`, in any thread, when `watch` may have news before it is time to poll again.

        A scheduler that cannot tell is only polled.
        """

    def cancel(self, tickets: Collection[Ticket]) -> None:
        """Request the end of these jobs; `watch` says when it came. Jobs that are over stay as they are.

        One that the scheduler does not have, but may still get, never runs. Raises MayStart while that is not certain.
        """

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        """Request the end of those that wait, and of no others: one that starts meanwhile runs.

        `watch` says what came of it, also to the next agent: an end by `Ending.WITHDRAWN` only where the scheduler says
        that it never started the job, and the command can never run under this key. Raises DiskFull.
        """

    def signal(self, ticket: Ticket, name: str) -> None:
        """Send one of rainbow.signals.SIGNALS to the processes of a job that runs. One that is over stays as it is."""

    def output(self, ticket: Ticket) -> str:
        """The end of what the job wrote so far, at most 64 KiB of UTF-8."""

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        """What the job wrote to `output` or to `errors` from that byte on; empty at its end, and before it began.

        Another thread may be in another call meanwhile. Raises OSError; where all was removed, NotKept.
        """

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        """What is in the job's folder of files and fits a pattern, or all, for another thread, too. Raises as `part`
        does.
        """

    def forget_secrets(self, ticket: Ticket) -> None:
        """Remove what holds secrets of a job that is over."""

    def size(self, ticket: Ticket, output: str) -> int:
        """How long that is. Raises as `part` does."""

    def kept_bytes(self, ticket: Ticket) -> int:
        """How much space what is kept on disk of a job takes, about."""

    def forget(self, ticket: Ticket) -> None:
        """Remove what is kept on disk of a job that is over and reported."""

    def tidy(self, running: Collection[Ticket]) -> bool:
        """Keep the disk in bounds, for a fraction of a second; whether more is left to do."""
