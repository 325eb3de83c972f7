from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life. Completed, failed and cancelled are final."""

    UNSPECIFIED = "unspecified"
    QUEUED = "queued"
    ACCEPTED = "accepted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
