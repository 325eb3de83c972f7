"""What squeue and sacct say of jobs, in the words of executor.py."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rainbow.executors.endings import cancelled, ended, exited, killed, timed, timed_out
from rainbow.executors.executor import Ending, JobPhase, Progress, SchedulerSilent
from rainbow.executors.folders import at

# The states of squeue(1), "JOB STATE CODES"; all others are some form of running.
PENDING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
ENDINGS = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY"}
ENDINGS |= {"PREEMPTED", "REVOKED", "LAUNCH_FAILED"}
# Beside those of its own. Several states may stand in one record: the first of these counts.
ENDS = {
    "CANCELLED": cancelled(),
    "TIMEOUT": timed_out(),
    "DEADLINE": ended(Ending.TIMED_OUT, reason="reached its deadline"),
    "NODE_FAIL": ended(Ending.NODE_FAILED, reason="a node that it ran on failed"),
    "BOOT_FAIL": ended(Ending.NODE_FAILED, reason="a node did not boot"),
    "OUT_OF_MEMORY": ended(Ending.OUT_OF_MEMORY, reason="ran out of memory"),
    "PREEMPTED": ended(Ending.PREEMPTED, reason="preempted by another job"),
    "REVOKED": ended(Ending.FAILED, reason="revoked by Slurm"),
    "LAUNCH_FAILED": ended(Ending.FAILED, reason="Slurm could not start it"),
}
# Of an array, behind which may follow how many may run at once.
TASKS = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?(?:,|%.*|$)", re.ASCII)
# What sacct calls a task of an array; of those that wait it tells in brackets.
TASK_ID = re.compile(r"([0-9]+)_\[?([0-9,:%-]+)\]?", re.ASCII)
# slurmd says so in place of a signal where it could not open the job's files.
CANNOT_OPEN_FILES = 53

# Not the folder: its user chose it, and a line break in it would make a record of its own.
SACCT_FORMAT = "JobID,JobName,State,ExitCode,Start,End,Reason,User"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One job as Slurm tells it. Times are seconds since 1970; 0 means none. `held`: Slurm does not start it.

    Accounts tell of no `folder`. `array` is the number of the array that it is a task of, or that stands for those of
    its tasks that wait: `numbers` has that of the one, or theirs, such as `3,7-9`.
    """

    native_id: str
    name: str
    folder: str
    states: frozenset[str]
    reason: str
    exit_code: int
    signal: int
    started: int
    ended: int
    held: bool = False
    user: str = ""
    array: str = ""
    numbers: str = ""

    def tasks(self, *, most: int) -> Iterator[int]:
        """The tasks below `most` that it tells of."""
        for first, last, step in TASKS.findall(self.numbers):
            yield from range(int(first), min(int(last or first) + 1, most), int(step or 1))

    @property
    def never_started(self) -> bool:
        """Whether it waits, and never had a node, nor was given one that still boots."""
        return self.states == {"PENDING"} and not self.started

    def progress(self) -> Progress:
        started_at = at(self.started) if self.started else None
        if self.states & PENDING:
            return Progress(phase=JobPhase.PENDING, reason=self.reason)
        # COMPLETING stands beside or in place of an ending: the job still holds its nodes.
        if "COMPLETING" in self.states or not self.states & ENDINGS:
            return Progress(phase=JobPhase.RUNNING, started_at=started_at)
        return timed(self._end(), started_at=started_at, ended_at=at(self.ended) if self.ended else None)

    def _end(self) -> Progress:
        named = next((end for state, end in ENDS.items() if state in self.states), None)
        return named or self._end_of_its_own()

    def _end_of_its_own(self) -> Progress:
        if self.signal == CANNOT_OPEN_FILES:
            return ended(
                Ending.FAILED,
                reason="Slurm could not open the job's output; do the nodes see the agent's state folder?",
            )
        if self.signal:
            return killed(self.signal)
        if self.exit_code or "COMPLETED" in self.states:
            return exited(self.exit_code)
        return ended(Ending.FAILED, reason=self.reason or "Slurm gave up on it")


def from_squeue(text: str) -> Iterator[Record]:
    """The jobs of `squeue --json`, in the form of Slurm 22.05 and in that of 23.02 and later.

    Without a controller that command succeeds, with no jobs and a list of errors.
    """
    try:
        answer = json.loads(text)
        if answer.get("errors"):
            raise SchedulerSilent(f"squeue: {_words(answer['errors'])}")
        for job in answer["jobs"]:
            yield _from_job(job)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SchedulerSilent(f"squeue said something that rainbow does not understand: {error!r}") from error


def from_sacct(text: str) -> Iterator[Record]:
    """The lines of `sacct --parsable2` with SACCT_FORMAT and times as seconds."""
    try:
        for line in text.splitlines():
            yield _from_line(line)
    except ValueError as error:
        raise SchedulerSilent(f"sacct said something that rainbow does not understand: {error!r}") from error


def _from_line(line: str) -> Record:
    native_id, name, state, code, started, ended, reason, user = line.split("|")
    exit_code, _, signal = code.partition(":")
    task = TASK_ID.fullmatch(native_id)
    return Record(
        native_id=native_id,
        name=name,
        folder="",
        states=frozenset(state.split()[:1]),
        reason="" if reason == "None" else reason,
        exit_code=int(exit_code or 0),
        signal=int(signal or 0),
        started=int(started) if started.isdigit() else 0,
        ended=int(ended) if ended.isdigit() else 0,
        user=user,
        array=task[1] if task else "",
        numbers=task[2] if task else "",
    )


def _words(errors: list[dict[str, Any]]) -> str:
    return "; ".join(f"{error.get('description')}: {error.get('error')}" for error in errors)


def _from_job(job: dict[str, Any]) -> Record:
    states = [job["job_state"]] if isinstance(job["job_state"], str) else job["job_state"]
    words = [job["state_reason"], job.get("state_description", "")]
    code, signal = _exit(job["exit_code"])
    array, numbers = _array(job)
    return Record(
        native_id=str(job["job_id"]),
        name=job["name"],
        folder=job["current_working_directory"],
        states=frozenset(states),
        reason=": ".join(word for word in words if word and word != "None"),
        exit_code=code,
        signal=signal,
        # A job that was cancelled while it waited has a start time as well, but no nodes. One that was requeued ran.
        started=_number(job["start_time"]) if job["nodes"] or _number(job.get("restart_cnt")) else 0,
        ended=_number(job["end_time"]),
        held=_is_zero(job.get("priority")),
        user=job.get("user_name") or "",
        array=array,
        numbers=numbers,
    )


def _array(job: dict[str, Any]) -> tuple[str, str]:
    """Its number, and those of the tasks that it tells of."""
    array, task = _number(job.get("array_job_id")), job.get("array_task_id")
    if not array:
        return "", ""
    is_one = task is not None and not (isinstance(task, dict) and not task.get("set"))
    return str(array), str(_number(task)) if is_one else job.get("array_task_string") or ""


def _exit(code: Any) -> tuple[int, int]:
    """Exit code and signal. Slurm 22.05 has a status of wait(2) here, later ones an object."""
    if isinstance(code, int):
        return code >> 8 & 0xFF, code & 0x7F
    signal = code.get("signal") or {}
    return _number(code.get("return_code")), _number(signal.get("id", signal.get("signal_id")))


def _is_zero(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value.get("set")) and value["number"] == 0
    return bool(value == 0)


def _number(value: Any) -> int:
    """Slurm 23.02 and later write numbers as {"set": true, "infinite": false, "number": 7}."""
    if isinstance(value, dict):
        return int(value["number"]) if value.get("set") else 0
    return int(value or 0)
