"""A job that is given back, and further reports on it in the same transaction."""

from datetime import datetime
from typing import Any

import pytest

from jobs.models import Job
from jobs.reports import AgentReport, Report, Reported, ReportOutcome, Return
from jobs.services.accept import accept_jobs
from jobs.services.report import report_jobs, report_jobs_batch
from jobs.states import JobState
from tests.support.pools import Pool, pool_of
from tests.support.queue import counted, recounted, submitted

AGENT = "agent-1"


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", "beta", now=now)


@pytest.fixture
def job_id(pool: Pool, alpha: Any, now: datetime) -> int:
    (taken,) = submitted(pool, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[taken], agent=AGENT, now=now)
    return taken


def returned(job_id: int) -> Report:
    return Report(job_id=job_id, attempt=1, state=JobState.ACCEPTED, returned=Return.NOT_STARTED)


def told(job_id: int, state: JobState) -> Report:
    return Report(job_id=job_id, attempt=1, state=state)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_what_is_said_of_a_job_after_it_was_given_back_does_not_count(
    alpha: Any, job_id: int, now: datetime, state: JobState
) -> None:
    results = report_jobs(caller=alpha.puller, agent=AGENT, reports=[returned(job_id), told(job_id, state)], now=now)

    assert outcomes(results) == [ReportOutcome.COUNTED, ReportOutcome.STALE]
    job = Job.objects.get(id=job_id)
    assert (job.state, job.attempt, job.cluster.name, job.started_at) == (JobState.QUEUED, 2, "big", None)
    assert counted() == recounted()


def test_reports_that_contradict_each_other_do_no_harm_to_those_of_others(
    alpha: Any, beta: Any, job_id: int, pool: Pool, now: datetime
) -> None:
    (other,) = submitted(pool, now=now)
    accept_jobs(caller=beta.puller, job_ids=[other], agent=AGENT, now=now)

    reports = [
        AgentReport(caller=alpha.puller, agent=AGENT, reports=[returned(job_id)]),
        AgentReport(caller=alpha.puller, agent="agent-2", reports=[told(job_id, JobState.COMPLETED)]),
        AgentReport(caller=beta.puller, agent=AGENT, reports=[told(other, JobState.RUNNING)]),
    ]
    answers = report_jobs_batch(agent_reports=reports, now=now)

    assert [outcomes(one) for one in answers] == [
        [ReportOutcome.COUNTED], [ReportOutcome.STALE], [ReportOutcome.COUNTED],
    ]  # fmt: skip
    assert Job.objects.get(id=job_id).state == JobState.QUEUED
    assert Job.objects.get(id=other).state == JobState.RUNNING


def test_a_job_that_is_given_back_twice_goes_back_once(alpha: Any, job_id: int, now: datetime) -> None:
    results = report_jobs(caller=alpha.puller, agent=AGENT, reports=[returned(job_id)] * 2, now=now)

    assert outcomes(results) == [ReportOutcome.COUNTED, ReportOutcome.STALE]
    assert Job.objects.get(id=job_id).attempt == 2
    assert counted() == recounted()


def outcomes(results: Any) -> list[ReportOutcome]:
    assert isinstance(results, list)
    assert all(isinstance(one, Reported) for one in results)
    return [one.outcome for one in results]
