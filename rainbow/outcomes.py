from enum import StrEnum


class RefusalReason(StrEnum):
    UNSPECIFIED = "unspecified"
    NOT_FOUND = "not_found"
    NOT_QUEUED = "not_queued"
    REPEATED = "repeated"
    PAUSED = "paused"


class CancelOutcome(StrEnum):
    """The result of cancelling a job."""

    UNSPECIFIED = "unspecified"
    CANCELLED = "cancelled"
    REQUESTED = "requested"
    ALREADY_FINAL = "already_final"
    NOT_FOUND = "not_found"
    OUT_OF_REACH = "out_of_reach"


class SignalOutcome(StrEnum):
    """The result of signalling a job."""

    UNSPECIFIED = "unspecified"
    REQUESTED = "requested"
    NOT_RUNNING = "not_running"
    NOT_FOUND = "not_found"
    TOO_MANY = "too_many"
