"""The verbs that move jobs: the only writers of this app's rows."""

from jobs.services.accept import Acceptance, Accepted, RefusalReason, Refused, accept_jobs
from jobs.services.activity import prune_activity
from jobs.services.cancel import Cancellation, CancelOutcome, cancel_jobs
from jobs.services.lookup import Page, Search, get_jobs, list_jobs
from jobs.services.move import move_jobs
from jobs.services.outlook import warn, warn_caller
from jobs.services.priority import change_priority
from jobs.services.prune import prune_jobs
from jobs.services.request import QueuedJob, Wanted, request_jobs
from jobs.services.requeue import Requeue, requeue_jobs
from jobs.services.restart import IdRange, Restart, restart_ids
from jobs.services.submit import Order, Receipt, submit_jobs
from jobs.services.summarize import Summary, summarize_jobs
from jobs.services.verdicts import Verdict
from jobs.services.waiting import explain_wait
from jobs.services.watch import newly_queued

__all__ = [
    "Acceptance",
    "Accepted",
    "CancelOutcome",
    "Cancellation",
    "IdRange",
    "Order",
    "Page",
    "QueuedJob",
    "Receipt",
    "RefusalReason",
    "Refused",
    "Requeue",
    "Restart",
    "Search",
    "Summary",
    "Verdict",
    "Wanted",
    "accept_jobs",
    "cancel_jobs",
    "change_priority",
    "explain_wait",
    "get_jobs",
    "list_jobs",
    "move_jobs",
    "newly_queued",
    "prune_activity",
    "prune_jobs",
    "request_jobs",
    "requeue_jobs",
    "restart_ids",
    "submit_jobs",
    "summarize_jobs",
    "warn",
    "warn_caller",
]
