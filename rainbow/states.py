from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life. Completed, failed and cancelled are final."""

    UNSPECIFIED = "unspecified"
    BLOCKED = "blocked"
    QUEUED = "queued"
    ACCEPTED = "accepted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


class EndCause(StrEnum):
    """How an attempt at a job ended, as its cluster says."""

    UNSPECIFIED = "unspecified"
    EXIT = "exit"
    SIGNAL = "signal"
    TIMED_OUT = "timed_out"
    NODE_FAILED = "node_failed"
    OUT_OF_MEMORY = "out_of_memory"
    PREEMPTED = "preempted"
    CANCELLED_AT_SITE = "cancelled_at_site"
    REFUSED = "refused"
    GIVEN_UP = "given_up"
    VANISHED = "vanished"


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
