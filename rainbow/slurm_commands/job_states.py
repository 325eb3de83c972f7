"""States of jobs by Slurm's names."""

from collections.abc import Iterable
from dataclasses import dataclass

from rainbow.errors import InvalidArgument
from rainbow.records import EndCause, Job, JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmState:
    name: str
    code: str


_CODES = {
    "PENDING": "PD",
    "RUNNING": "R",
    "COMPLETING": "CG",
    "COMPLETED": "CD",
    "CANCELLED": "CA",
    "FAILED": "F",
    "TIMEOUT": "TO",
    "NODE_FAIL": "NF",
    "OUT_OF_MEMORY": "OOM",
    "PREEMPTED": "PR",
}
_STATES = {name: SlurmState(name=name, code=code) for name, code in _CODES.items()}
# Names that Slurm has besides, and no job here is ever in.
_NEVER = frozenset(
    ("BF", "BOOT_FAIL", "CF", "CONFIGURING", "DEADLINE", "DL", "REQUEUED", "RQ", "RESIZING", "RS", "REVOKED",
     "RV", "SUSPENDED", "S", "STOPPED", "ST", "SIGNALING", "SI", "SPECIAL_EXIT", "SE", "STAGE_OUT", "SO",
     "REQUEUE_FED", "RF", "REQUEUE_HOLD", "RH", "RESV_DEL_HOLD", "RD")
)  # fmt: skip
_WAITS = {JobState.BLOCKED: "PENDING", JobState.QUEUED: "PENDING", JobState.ACCEPTED: "PENDING"}
_ENDED = {JobState.COMPLETED: "COMPLETED", JobState.CANCELLED: "CANCELLED"}
_FAILED = {
    EndCause.TIMED_OUT: "TIMEOUT",
    EndCause.NODE_FAILED: "NODE_FAIL",
    EndCause.OUT_OF_MEMORY: "OUT_OF_MEMORY",
    EndCause.PREEMPTED: "PREEMPTED",
    EndCause.CANCELLED_AT_SITE: "CANCELLED",
}
ACTIVE = (JobState.BLOCKED, JobState.QUEUED, JobState.ACCEPTED, JobState.RUNNING, JobState.LOST)
SIGNAL_BASE = 128


def slurm_state(job: Job) -> SlurmState:
    """A lost job counts as running: it may run on, and come back."""
    if job.state in ACTIVE:
        name = _WAITS.get(job.state) or ("COMPLETING" if job.cancel_requested_at else "RUNNING")
    else:
        name = _ENDED.get(job.state) or _FAILED.get(job.end_cause, "FAILED")
    return _STATES[name]


def exit_code(job: Job) -> str:
    """CODE:SIGNAL. A job that failed without a code of its own has 1, so that none looks like a success."""
    code = job.exit_code or 0
    if job.end_cause is EndCause.SIGNAL and code > SIGNAL_BASE:
        return f"0:{code - SIGNAL_BASE}"
    return f"{code or int(slurm_state(job).name == 'FAILED')}:0"


def states_in(texts: Iterable[str]) -> frozenset[str] | None:
    """Names of states, of names or codes with commas between; None for all. Raises InvalidArgument."""
    words = {word.strip().upper() for text in texts for word in text.split(",") if word.strip()}
    if not words or "ALL" in words:
        return None
    by_code = {state.code: name for name, state in _STATES.items()}
    unknown = sorted(words - _STATES.keys() - by_code.keys() - _NEVER)
    if unknown:
        raise InvalidArgument(f"there is no state {unknown[0]}")
    return frozenset(by_code.get(word, word) for word in words)


def server_states(names: frozenset[str] | None) -> tuple[JobState, ...]:
    """The states of rainbow among which those are; none means all."""
    if names is None:
        return ()
    found: set[JobState] = set()
    for name in names:
        found |= {state for state, waits in _WAITS.items() if waits == name}
        found |= {JobState.RUNNING, JobState.LOST} if name in ("RUNNING", "COMPLETING") else set()
        found |= {state for state, ended in _ENDED.items() if ended == name}
        found |= {JobState.FAILED} if name == "FAILED" or name in _FAILED.values() else set()
    return tuple(state for state in JobState if state in found)
