"""Many agents of one cluster that ask at a time are offered the same jobs, and all accept them."""

from datetime import datetime
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.services.accept import Acceptance, RefusalReason, accept_jobs_batch
from jobs.services.take import Taking
from tests.support.queue import submitted


def _contend(alpha: Any, agents: int, now: datetime) -> tuple[list[Acceptance], int]:
    """The answers, and how many statements it took."""
    job_ids = submitted(alpha, 3, now=now)
    takings = [Taking(caller=alpha.puller, job_ids=job_ids, agent=f"agent-{number}") for number in range(agents)]
    with CaptureQueriesContext(connection) as statements:
        outcomes = accept_jobs_batch(takings=takings, now=now)
    return [outcome for outcome in outcomes if isinstance(outcome, Acceptance)], len(statements)


def test_the_first_gets_them_and_the_others_are_told_that_they_are_taken(alpha: Any, now: datetime) -> None:
    (first, *others), _ = _contend(alpha, 3, now)

    assert len(first.accepted) == 3
    assert [refused.reason for one in others for refused in one.refused] == [RefusalReason.NOT_QUEUED] * 6


def test_those_that_come_too_late_cost_no_statement_each(alpha: Any, now: datetime, limits_are_known: None) -> None:
    (_, few), (_, many) = _contend(alpha, 2, now), _contend(alpha, 30, now)

    assert many == few


def test_of_one_agent_the_second_accept_in_a_batch_finds_what_the_first_took(alpha: Any, now: datetime) -> None:
    job_ids = submitted(alpha, 2, now=now)
    takings = [Taking(caller=alpha.puller, job_ids=job_ids, agent="agent-1") for _ in range(2)]

    first, second = accept_jobs_batch(takings=takings, now=now)

    assert first == second
    assert isinstance(first, Acceptance)
    assert [one.job_id for one in first.accepted] == job_ids
