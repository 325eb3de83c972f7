"""Blocked jobs: on record, and in no queue until what blocks them is over."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from jobs.events import record
from jobs.models import Job
from jobs.queries.expired import expired_jobs
from jobs.queries.explain import explain_wait
from jobs.queries.queue import request_jobs
from jobs.reports import Report, ReportOutcome
from jobs.services.accept import RefusalReason, accept_jobs
from jobs.services.fail_expired import fail_expired
from jobs.services.release import release
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.support.lives import AGENT, job_in
from tests.support.queue import counted, recounted, submitted

pytestmark = pytest.mark.django_db


def let_go(job_ids: list[int], now: datetime) -> None:
    with transaction.atomic():
        jobs = list(Job.objects.filter(id__in=job_ids).order_by("id").select_for_update())
        record([(step, None) for step in release(jobs, now=now, why="job 7 completed")], now=now)


def test_a_blocked_job_is_offered_to_nobody(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.BLOCKED, alpha, now=now)

    accepted = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)

    assert list(request_jobs(caller=alpha.puller, shared=True, now=now)) == []
    assert [(one.job_id, one.reason) for one in accepted.refused] == [(job_id, RefusalReason.NOT_QUEUED)]
    assert Job.objects.get(id=job_id).queue_id is None
    assert counted() == recounted() == {("alpha", "blocked", 0): 1}


def test_the_queue_is_as_long_as_if_it_were_not_there(alpha: Any, now: datetime) -> None:
    job_in(JobState.BLOCKED, alpha, now=now)

    submitted(alpha, now=now)

    assert Job.objects.filter(state=JobState.QUEUED).count() == 1
    assert counted()["alpha", "queued", 0] == 1


def test_what_is_released_is_offered_with_why_on_record(alpha: Any, now: datetime) -> None:
    first = job_in(JobState.BLOCKED, alpha, now=now, priority=5)
    (second,) = submitted(alpha, now=now)

    let_go([first], now)

    job = Job.objects.get(id=first)
    assert (job.state, job.unmet, job.held_by_group) == ("queued", 0, False)
    assert [one.id for one in request_jobs(caller=alpha.puller, now=now)] == [first, second]
    assert [(one.what, one.state, one.why) for one in job.events.order_by("id")] == [
        ("submitted", "blocked", ""),
        ("released", "queued", "job 7 completed"),
    ]
    assert counted() == recounted()


def test_a_blocked_job_expires(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.BLOCKED, alpha, now=now, expires_at=now + timedelta(minutes=1))
    later = now + timedelta(minutes=2)

    fail_expired(expired=expired_jobs(now=later), now=later)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.finished_at) == ("failed", later)
    assert job.reason == "it expired while it waited: waits for its turn in its group"


def test_it_is_told_that_it_waits_for_its_turn(alpha: Any, now: datetime) -> None:
    job = Job.objects.get(id=job_in(JobState.BLOCKED, alpha, now=now))

    explanation = explain_wait(job=job, now=now)

    assert explanation is not None
    assert explanation.summary == "waits for its turn in its group; it is in no queue until then"


def test_a_report_changes_nothing(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.BLOCKED, alpha, now=now)
    report = Report(job_id=job_id, attempt=1, state=JobState.COMPLETED)

    (reported,) = report_jobs(caller=alpha.puller, agent=AGENT, reports=[report], now=now)

    assert (reported.outcome, reported.cancel) == (ReportOutcome.STALE, True)
    assert Job.objects.get(id=job_id).state == "blocked"


def test_a_job_is_blocked_by_something(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)

    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(id=job_id).update(state=JobState.BLOCKED)
