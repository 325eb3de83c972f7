"""This machine. Each job is a process in a session of its own, beside a runner that outlives the agent."""

import itertools
import os
import platform
import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rainbow.executors import runners
from rainbow.executors.containers import write_inside
from rainbow.executors.endings import cancelled, ended, from_wait_status, gone, timed_out
from rainbow.executors.environment import job_environment
from rainbow.executors.executor import (
    Access,
    Capacity,
    Ending,
    JobPhase,
    NoRoom,
    Progress,
    Site,
    Ticket,
    WorkRefused,
)
from rainbow.executors.folders import MOST_LISTED, JobFolder, Listed, folder_of, is_key, moment, number
from rainbow.executors.housekeeping import Housekeeping
from rainbow.executors.job_files import has_files, with_files
from rainbow.executors.one_by_one import OneByOne
from rainbow.executors.payload import payload
from rainbow.executors.runner import Runner
from rainbow.executors.runner_ends import RunnerEnds, ignore_end
from rainbow.executors.runner_server import RunnerServer
from rainbow.executors.unavailable import refusal
from rainbow.facts import Facts, Partition
from rainbow.runner.job import RunnerJob
from rainbow.spec_rules import SITE_OPTIONS
from rainbow.specs import Work
from rainbow.system.hidden_processes import are_hidden

# What runners note besides `exited`.
ENDS = {
    "cancelled": cancelled(),
    "timed_out": timed_out(),
    "stopped": ended(Ending.NODE_FAILED, reason="stopped with the machine that it ran on"),
    "failed": ended(Ending.FAILED, reason="could not be started; its output says why"),
}
# Slots bound how many jobs run at once. Nothing else of the machine is set apart for a job.
NO_SCHEDULER = "the local executor has none; jobs that say one need Slurm or Flux"
HIDDEN = (
    "/proc is mounted with hidepid, so jobs could not be stopped; the agent's user needs the group of its option gid"
)
PARTITION = "local"
MISSING = {
    "gpus_per_task": "the local executor gives no GPUs",
    "gpu_type": "the local executor gives no GPUs",
    "memory_mib_per_node": "the local executor sets no memory apart for a job",
    "exclusive": "the local executor cannot keep a machine for one job",
    **dict.fromkeys(SITE_OPTIONS, NO_SCHEDULER),
}
LOST = gone("what ran the job ended without a word: it was killed, or the machine went down")
# More folders than an agent ever has; a job may have made others.
MOST_FOLDERS = 100_000
MOST_SLOTS = 2**31 - 1
HIGHEST_STATUS = 0xFFFF
# As long as what a job needs is in use, the next one waits for so long: the agent's lease is longer.
ROOM_SECONDS = 1.0


class LocalExecutor(OneByOne):
    access = Access(
        description="as processes of this machine, whose orphans their runner adopts and ends (child subreaper)",
        at_once=8,
        tells_ends=True,
        waits_for_room=True,
    )

    def __init__(self, site: Site) -> None:
        self._site = site
        self._housekeeping = Housekeeping(site)
        self._total = site.slots or len(os.sched_getaffinity(0))
        self._are_hidden = are_hidden()
        # The slots of jobs, by key; one that is started anew may be in both.
        self._running: dict[str, int] = {}
        self._starting: dict[str, int] = {}
        self._has_read_notes = False
        self._turn = threading.RLock()
        # Those that wait for room, the first first: a large one waits until enough others have ended.
        self._line: deque[str] = deque()
        # Of these, those that are cancelled.
        self._unwanted: set[str] = set()
        self._moved = threading.Condition(self._turn)
        self._server = RunnerServer()
        self._ends = RunnerEnds()
        self.notify(ignore_end)

    def notify(self, changed: Callable[[], None]) -> None:
        # Not the executor itself, which would not end then.
        moved = self._moved

        def ended() -> None:
            with moved:
                moved.notify_all()
            changed()

        self._ends.notify = ended

    def capacity(self) -> Capacity:
        free = max(0, self._total - self._in_use())
        return Capacity(nodes=free, slots=free, not_ready=HIDDEN if self._are_hidden else "")

    def facts(self) -> Facts:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
        machine = Partition(
            name=PARTITION,
            cores_per_node=self._total,
            max_nodes=self._total,
            memory_mib_per_node=memory,
            gpus_per_node={"": 0},
            default=True,
        )
        return Facts(
            values={"scheduler": "local", "arch": platform.machine(), "cores": self._total}, partitions=(machine,)
        )

    def slots(self, work: Work) -> int:
        return work.nodes * max(work.tasks, 1) * max(work.cores_per_task, 1)

    def never(self, work: Work) -> str:
        # The name by which it tells what the machine has.
        own = replace(work, partition="") if work.partition == PARTITION else work
        return refusal(own, MISSING) or self._site.containers.never(work) or self._too_large(work)

    def submit(self, work: Work, key: str) -> str:
        folder = self._folder(key)
        if never := self.never(work):
            raise WorkRefused(never)
        if has_files(work):
            folder.make()
            work = with_files(work, folder)
        job = self._job(work, folder)
        if not Path(job.directory).is_dir():
            raise WorkRefused(f"there is no directory {job.directory}")
        with self._taken(key, self.slots(work)) as slots:
            folder.make()
            write_inside(work, folder)
            folder.notes.write_once("slots", f"{slots}\n")
            runner = runners.start(self._server, job, folder)
        return self._follow(folder, runner) if runner else self._follow_earlier(folder)

    def find(self, keys: Collection[str]) -> dict[str, str]:
        found = {key: runners.process_id(self._folder(key)) for key in keys}
        return {key: native for key, native in found.items() if native}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        return {ticket.key: self._progress(ticket) for ticket in tickets}

    def cancel(self, tickets: Collection[Ticket]) -> None:
        """Also of jobs that wait for room: these are not started."""
        with self._turn:
            self._unwanted |= {ticket.key for ticket in tickets}.intersection(self._line)
            self._moved.notify_all()
        for ticket in tickets:
            runners.stop(self._folder(ticket.key), ticket.native_id)

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        """None of its jobs waits."""

    def signal(self, ticket: Ticket, name: str) -> None:
        runners.send(self._folder(ticket.key), ticket.native_id, signal.Signals[f"SIG{name}"])

    def output(self, ticket: Ticket) -> str:
        return self._folder(ticket.key).tail()

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        return self._folder(ticket.key).part(output, start=start, most_bytes=most_bytes)

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        return self._folder(ticket.key).files(patterns, most=most)

    def forget_secrets(self, ticket: Ticket) -> None:
        self._folder(ticket.key).forget_secrets()

    def size(self, ticket: Ticket, output: str) -> int:
        return self._folder(ticket.key).size(output)

    def kept_bytes(self, ticket: Ticket) -> int:
        return self._folder(ticket.key).kept_bytes()

    def forget(self, ticket: Ticket) -> None:
        self._folder(ticket.key).remove()

    def tidy(self, running: Collection[Ticket]) -> bool:
        for ticket in running:
            runners.go_on(self._folder(ticket.key), ticket.native_id)
        return self._housekeeping.tidy()

    def _too_large(self, work: Work) -> str:
        slots = self.slots(work)
        if slots <= self._total:
            return ""
        field = "cores_per_task: " if work.cores_per_task else ""
        return f"{field}needs {slots} slots, and this machine has {self._total}"

    def _folder(self, key: str) -> JobFolder:
        return folder_of(self._site.folder, key)

    def _job(self, work: Work, folder: JobFolder) -> RunnerJob:
        run = payload(work, folder, self._site)
        secrets = {} if work.image else work.secret_values
        return RunnerJob(
            command=run.command,
            directory=run.directory,
            environment=job_environment(self._site.environment, {**run.environment, **secrets}),
            limit_seconds=work.time_limit_seconds,
            kept_output_bytes=self._site.kept_output_bytes,
        )

    @contextmanager
    def _taken(self, key: str, slots: int) -> Iterator[int]:
        """The slots, for a job that is started inside. Raises NoRoom where fewer are free."""
        with self._turn:
            self._line.append(key)
            try:
                has_room = self._moved.wait_for(lambda: self._need_not_wait(key, slots), ROOM_SECONDS)
                if key in self._unwanted:
                    raise NoRoom("it was cancelled while it waited for room")
                if not has_room:
                    raise NoRoom(f"fewer than {slots} slots are free")
            finally:
                self._line.remove(key)
                self._unwanted.discard(key)
                self._moved.notify_all()
            self._starting[key] = slots
        try:
            yield slots
        finally:
            with self._turn:
                self._running[key] = self._starting.pop(key)

    def _need_not_wait(self, key: str, slots: int) -> bool:
        return key in self._unwanted or (self._line[0] == key and self._has(slots))

    def _has(self, slots: int) -> bool:
        return slots <= self._total - self._in_use()

    def _follow(self, folder: JobFolder, runner: Runner) -> str:
        """From its start, so that the next job need not wait for the agent to see that it ended."""
        native_id = str(runner.process)
        if not self._ends.follow(folder.key, runner):
            runner.close()
            self._ends.notify()
        return native_id

    def _follow_earlier(self, folder: JobFolder) -> str:
        native_id = runners.process_id(folder)
        words = folder.notes.words("started")
        started_at = moment(words[1]) if len(words) > 1 else None
        process = number(native_id, most=runners.MOST_PROCESSES) or 0
        if not self._ends.follow_process(folder.key, process, started_at):
            self._ends.notify()
        return native_id

    def _in_use(self) -> int:
        """The slots of jobs that run or are being started. An earlier agent's jobs are read from disk once."""
        with self._turn:
            if not self._has_read_notes:
                self._running = {folder.key: _slots_of(folder) for folder in self._found()}
                self._has_read_notes = True
            self._running = {key: slots for key, slots in self._running.items() if self._runs(key)}
            return sum(self._running.values()) + sum(self._starting.values())

    def _runs(self, key: str) -> bool:
        return self._ends.lives(key) or runners.runs(self._folder(key))

    def _progress(self, ticket: Ticket) -> Progress:
        """Of a runner whose end is awaited, nothing is read again before it."""
        if self._ends.lives(ticket.key):
            return Progress(phase=JobPhase.RUNNING, started_at=self._ends.started_at(ticket.key))
        folder = self._folder(ticket.key)
        seen = _progress(folder, ticket.native_id)
        if seen.phase is not JobPhase.RUNNING:
            return seen
        process = number(ticket.native_id, most=runners.MOST_PROCESSES) or runners.started_by(folder)
        # Where it ended since, that is found now, as it will not be told.
        followed = self._ends.follow_process(ticket.key, process, seen.started_at)
        return seen if followed else _progress(folder, ticket.native_id)

    def _found(self) -> list[JobFolder]:
        try:
            with os.scandir(self._site.folder / "notes") as entries:
                names = [entry.name for entry in itertools.islice(entries, MOST_FOLDERS)]
        except FileNotFoundError:
            return []
        return [self._folder(name) for name in names if is_key(name)]


def _progress(folder: JobFolder, native_id: str) -> Progress:
    """A runner's note of the end counts once the runner is gone: it is written last."""
    running = runners.runs(folder, native_id)
    words = folder.notes.words("started")
    started_at = moment(words[1]) if len(words) > 1 else None
    if running:
        return Progress(phase=JobPhase.RUNNING if words or native_id else JobPhase.PENDING, started_at=started_at)
    end = _noted_end(folder.notes.words("ended"))
    return replace(end or LOST, started_at=started_at)


def _noted_end(words: list[str]) -> Progress | None:
    """None where there is no note of an end, or it makes no sense."""
    if len(words) != 4:
        return None
    how, status, left, ended_at = words
    end = _exit(number(status, most=HIGHEST_STATUS)) if how == "exited" else ENDS.get(how)
    count = number(left, most=MOST_SLOTS)
    if end is None or count is None:
        return None
    left_behind = f"{count} of its processes could not be ended" if count else ""
    return replace(end, reason="; ".join(filter(None, (end.reason, left_behind))), ended_at=moment(ended_at))


def _exit(status: int | None) -> Progress | None:
    try:
        return None if status is None else from_wait_status(status)
    except ValueError:
        return None  # a status of no end


def _slots_of(folder: JobFolder) -> int:
    """One, for a job whose record is gone: it runs somewhere."""
    words = folder.notes.words("slots")
    return (number(words[0], most=MOST_SLOTS) or 1) if words else 1
