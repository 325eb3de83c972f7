"""A database that goes away with a verb's COMMIT: what is committed is answered as if nothing had happened."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection

from clusters.models import CredentialKind
from clusters.services.credentials import create_credential, rotate_credential
from clusters.services.register import register_cluster
from jobs.queries.queue import request_jobs
from jobs.reports import Report, ReportOutcome
from jobs.services.accept import RefusalReason, accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.states import JobState
from tests.support.lives import AGENT, job_in, row
from tests.support.queue import operator_named, submitted

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def gone_after_commit() -> Iterator[list[str]]:
    """Every statement after the first COMMIT fails; yields those that were tried."""
    began: list[str] = []
    tried: list[str] = []

    def execute(run: Callable[..., Any], sql: str, values: Any, many: bool, context: Any) -> Any:
        if connection.in_atomic_block:
            began.append(sql)
        elif began:
            tried.append(sql)
            raise OperationalError("the connection is lost")
        return run(sql, values, many, context)

    with connection.execute_wrapper(execute):
        yield tried
    assert began, "nothing was in a transaction"


def test_a_submission(alpha: Any, now: datetime) -> None:
    with gone_after_commit():
        (job_id,) = submitted(alpha, now=now)

    assert row(job_id)["state"] == JobState.QUEUED


@pytest.mark.parametrize("agent", ["", AGENT])
def test_an_acceptance_of_jobs_that_wait_and_of_others(alpha: Any, now: datetime, agent: str) -> None:
    waiting, running = submitted(alpha, now=now)[0], job_in(JobState.RUNNING, alpha, now=now)

    with gone_after_commit():
        acceptance = accept_jobs(caller=alpha.puller, job_ids=[waiting, running, 999, waiting], agent=agent, now=now)

    assert [job.job_id for job in acceptance.accepted] == [waiting]
    assert {(job.job_id, job.reason) for job in acceptance.refused} == {
        (running, RefusalReason.NOT_QUEUED),
        (999, RefusalReason.NOT_FOUND),
        (waiting, RefusalReason.REPEATED),
    }


def test_an_acceptance_that_its_agent_repeats(alpha: Any, now: datetime) -> None:
    held, waiting = job_in(JobState.ACCEPTED, alpha, now=now), submitted(alpha, now=now)[0]

    with gone_after_commit():
        acceptance = accept_jobs(caller=alpha.puller, job_ids=[held, waiting], agent=AGENT, lease_seconds=60, now=now)

    assert [job.job_id for job in acceptance.accepted] == [held, waiting]
    assert row(held)["lease_seconds"] == 60


def test_a_report(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)
    reports = [Report(job_id=job_id, attempt=1, state=JobState.COMPLETED)]

    with gone_after_commit():
        (reported,) = report_jobs(caller=alpha.puller, agent=AGENT, reports=reports, now=now)

    assert reported.outcome == ReportOutcome.COUNTED


def test_a_cancellation_and_a_requeue(alpha: Any, now: datetime) -> None:
    job_id, held = submitted(alpha, now=now)[0], job_in(JobState.ACCEPTED, alpha, now=now)

    with gone_after_commit():
        cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)
    with gone_after_commit():
        requeue_jobs(by=alpha.puller, job_ids=[held], reason="x", now=now)

    assert (row(job_id)["state"], row(held)["state"]) == (JobState.CANCELLED, JobState.QUEUED)


def test_what_an_operator_does(alpha: Any, beta: Any, now: datetime) -> None:
    job_id, olga = submitted(alpha, now=now)[0], operator_named("olga")

    with gone_after_commit():
        change_priority(by=olga, job_ids=[job_id], priority=5, reason="x", now=now)
    with gone_after_commit():
        move_jobs(by=olga, job_ids=[job_id], cluster_id=beta.cluster.id, reason="x", now=now)

    assert (row(job_id)["priority"], row(job_id)["cluster_id"]) == (5, beta.cluster.id)


def test_a_credential_that_is_shown_once(alpha: Any, now: datetime) -> None:
    with gone_after_commit():
        assert register_cluster(name="new", offered_secret="open", registration_secret="open", now=now)
    with gone_after_commit():
        assert create_credential(cluster=alpha.cluster, kind=CredentialKind.TOKEN, label="new", by=None, now=now).value
    with gone_after_commit():
        assert rotate_credential(cluster_id=alpha.cluster.id, kind=CredentialKind.SECRET, by=None, now=now).value


def test_the_log_says_that_others_were_not_told_and_the_next_call_is_served(
    postgresql_only: None, alpha: Any, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="rainbow"), gone_after_commit() as tried:
        submitted(alpha, now=now)

    assert len(tried) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "could not tell other servers of news; calls that wait there look for themselves error='the connection is lost'"
    ]
    assert connection.connection is None
    assert len(list(request_jobs(caller=alpha.puller, now=now))) == 1
