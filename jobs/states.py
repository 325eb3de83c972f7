"""The states of a job and the moves between them (docs/concepts.md draws them)."""

from django.db import models


class JobState(models.TextChoices):
    BLOCKED = "blocked", "blocked"
    QUEUED = "queued", "queued"
    ACCEPTED = "accepted", "accepted"
    RUNNING = "running", "running"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"
    LOST = "lost", "lost"


FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
# What no cluster has.
UNTAKEN = frozenset({JobState.BLOCKED, JobState.QUEUED})
# What a cluster has; a lost job it may have.
HELD = frozenset({JobState.ACCEPTED, JobState.RUNNING})
# The states from which only an operator, or `on_lost`, may requeue a job.
REQUEUEABLE = frozenset({JobState.ACCEPTED, JobState.LOST})

MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.BLOCKED: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.FAILED}),
    JobState.QUEUED: frozenset({JobState.ACCEPTED, JobState.CANCELLED, JobState.FAILED}),
    JobState.ACCEPTED: frozenset({JobState.BLOCKED, JobState.QUEUED, JobState.RUNNING, JobState.LOST}) | FINAL,
    JobState.RUNNING: frozenset({JobState.BLOCKED, JobState.LOST}) | FINAL,
    JobState.LOST: frozenset({JobState.BLOCKED, JobState.ACCEPTED, JobState.RUNNING, JobState.QUEUED}) | FINAL,
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


class OnLost(models.TextChoices):
    KEEP = "keep", "stay lost"
    REQUEUE = "requeue", "go back into the queue"


class EndCause(models.TextChoices):
    """How an attempt ended, as its cluster says; empty where it does not."""

    EXIT = "exit", "ended by itself"
    SIGNAL = "signal", "a signal ended it"
    TIMED_OUT = "timed_out", "reached its time limit"
    NODE_FAILED = "node_failed", "a node failed"
    OUT_OF_MEMORY = "out_of_memory", "ran out of memory"
    PREEMPTED = "preempted", "preempted by another job"
    CANCELLED_AT_SITE = "cancelled_at_site", "cancelled in the scheduler"
    REFUSED = "refused", "refused by the site"
    GIVEN_UP = "given_up", "the scheduler gave up on it"
    VANISHED = "vanished", "the scheduler no longer knows it"


class What(models.TextChoices):
    SUBMITTED = "submitted", "submitted"
    RELEASED = "released", "released into the queue"
    ACCEPTED = "accepted", "accepted"
    STARTED = "started", "started"
    ENDED = "ended", "ended"
    CANCEL_REQUESTED = "cancel_requested", "cancel requested"
    CANCELLED = "cancelled", "cancelled"
    LOST = "lost", "lost"
    FOUND = "found", "found again"
    REQUEUED = "requeued", "requeued"
    RETRIED = "retried", "to be tried again"
    PRIORITY_CHANGED = "priority_changed", "priority changed"
    MOVED = "moved", "moved to another cluster"
    EXPIRED = "expired", "expired while it waited"
    SIGNALLED = "signalled", "signalled"


NEXT_ATTEMPT = frozenset({What.REQUEUED, What.RETRIED})
PUTS_INTO_A_QUEUE = frozenset({What.SUBMITTED, What.RELEASED, What.REQUEUED, What.MOVED})


class ActionKind(models.TextChoices):
    CANCEL = "cancel", "cancel"
    REQUEUE = "requeue", "requeue"
    PRIORITIZE = "prioritize", "change the priority of"
    MOVE = "move", "move"


class WishKind(models.TextChoices):
    """What a server wants of an agent: to report now, since cancels were requested, to signal a job, or to send what
    one wrote.
    """

    CANCEL = "cancel", "look at cancels"
    SIGNAL = "signal", "send a signal"
    READ = "read", "send an output"


class OutputSource(models.TextChoices):
    STDOUT = "stdout", "standard output"
    STDERR = "stderr", "standard error"
    FILE = "file", "one of its files"
    LISTING = "listing", "which files it has"


class Activity(models.TextChoices):
    SUBMITTED = "submitted", "submitted"
    ACCEPTED = "accepted", "accepted"
    STARTED = "started", "started"
    COMPLETED = "completed", "completed"
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"
    LOST = "lost", "lost"
    REQUEUED = "requeued", "requeued"


class Span(models.IntegerChoices):
    """How long the stretches are that activity is counted in, in seconds."""

    FIVE_MINUTES = 300, "5 minutes"
    HOUR = 3_600, "hour"
    SIX_HOURS = 21_600, "6 hours"
