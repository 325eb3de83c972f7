"""What the pages of operators and those of people show of jobs alike."""

from datetime import datetime
from typing import Any

from django.db.models import Prefetch
from django.http import QueryDict
from django.shortcuts import get_object_or_404

from clusters.callers import Caller, Operator
from jobs.admin.timeline import timeline
from jobs.models import Job, JobEvent
from jobs.output_files import from_document
from jobs.queries.explain import explain_wait
from jobs.queries.lookup import Page, earlier_attempts, resubmissions_of, within_reach


def job_or_404(by: Caller | Operator, job_id: int) -> Job:
    """Without what is long. Raises Http404 as `shown_job` does."""
    jobs = within_reach(by).select_related("cluster").defer("output", "environment", "cluster__facts")
    return get_object_or_404(jobs, id=job_id)


def shown_job(by: Caller | Operator, job_id: int, *, now: datetime) -> dict[str, Any]:
    """A job as its page shows it. Raises Http404 alike for one that is not there and for one that they may not see."""
    events = JobEvent.objects.select_related("credential__person", "credential__project", "operator").order_by("id")
    jobs = within_reach(by).select_related(
        "cluster", "submitted_by__person", "submitted_by__project", "submitted_to", "owner", "project"
    )
    job = get_object_or_404(jobs.prefetch_related(Prefetch("events", events)), id=job_id)
    return {
        "job": job,
        "listed": from_document(job.output_files),
        "wait": explain_wait(by=by, job=job, now=now),
        "timeline": timeline(job, now),
        "resubmissions": resubmissions_of(by, [job.id]).get(job.id, []),
        "earlier_attempts": earlier_attempts(job.id) if job.attempt > 1 else (),
    }


def links_from(query: QueryDict, page: Page) -> dict[str, str]:
    """Links to older jobs and to the rest of a text search; empty when there is nothing more."""
    older = page.jobs[-1].id if page.more else page.looked_until
    return {"newest": with_last(query, 0), "older": with_last(query, older) if older else ""}


def with_last(query: QueryDict, last: int) -> str:
    changed = query.copy()
    changed.pop("last", None)
    if last:
        changed["last"] = str(last)
    return f"?{changed.urlencode()}"
