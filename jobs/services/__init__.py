"""The verbs that move jobs: the only writers of this app's rows."""

from jobs.demo.stage import ask_again, stage_demo
from jobs.queries.activity import prune_activity
from jobs.queries.applicable import Foresight, acts_for, acts_for_all, at_most, changeable, foresee
from jobs.queries.explain import explain_wait
from jobs.queries.lookup import Found, Page, count_jobs, find_jobs, get_jobs, list_jobs
from jobs.queries.news import News, news_since, queues_with_jobs
from jobs.queries.queue import QueuedJob, Wanted, request_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import Summary, summarize_jobs
from jobs.queries.warnings import warn, warn_caller
from jobs.reports import Account, Report, Reported, ReportOutcome
from jobs.services.accept import Acceptance, Accepted, RefusalReason, Refused, Taking, accept_jobs, accept_together
from jobs.services.bulk_actions import Act, act_on_jobs
from jobs.services.cancel import Cancellation, CancelOutcome, cancel_jobs
from jobs.services.change_result import Verdict
from jobs.services.expire import Expiry, expire_further, expire_leases
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from jobs.services.prune import prune_jobs
from jobs.services.report import report_jobs, report_together
from jobs.services.requeue import Requeue, requeue_jobs
from jobs.services.restart import IdRange, Restart, restart_ids
from jobs.services.submit import Order, Receipt, submit_jobs
from jobs.services.sweep import begin_sweep, search_of, step_sweep, stop_sweep

__all__ = [
    "Acceptance",
    "Accepted",
    "Account",
    "Act",
    "CancelOutcome",
    "Cancellation",
    "Expiry",
    "Foresight",
    "Found",
    "IdRange",
    "News",
    "Order",
    "Page",
    "QueuedJob",
    "Receipt",
    "RefusalReason",
    "Refused",
    "Report",
    "ReportOutcome",
    "Reported",
    "Requeue",
    "Restart",
    "Search",
    "Summary",
    "Taking",
    "Verdict",
    "Wanted",
    "accept_jobs",
    "accept_together",
    "act_on_jobs",
    "acts_for",
    "acts_for_all",
    "ask_again",
    "at_most",
    "begin_sweep",
    "cancel_jobs",
    "change_priority",
    "changeable",
    "count_jobs",
    "expire_further",
    "expire_leases",
    "explain_wait",
    "find_jobs",
    "foresee",
    "get_jobs",
    "list_jobs",
    "move_jobs",
    "news_since",
    "prune_activity",
    "prune_jobs",
    "queues_with_jobs",
    "report_jobs",
    "report_together",
    "request_jobs",
    "requeue_jobs",
    "restart_ids",
    "search_of",
    "stage_demo",
    "step_sweep",
    "stop_sweep",
    "submit_jobs",
    "summarize_jobs",
    "warn",
    "warn_caller",
]
