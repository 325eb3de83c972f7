"""What persons and projects have is counted right after whatever happens to their jobs."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Operator
from clusters.models import Allowance, Membership
from clusters.services.of_people import caller_of_person
from jobs.models import Job
from jobs.queries.checks.allowances import wrong_allowances
from jobs.queries.expired import expired_jobs
from jobs.reports import Report, Return
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.expire import expire_leases
from jobs.services.fail_expired import fail_expired
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.states import JobState
from tests.support.lives import AGENT
from tests.support.members import project_of, submitted_by

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def team(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)


def has(who: Operator) -> tuple[int, int, int]:
    """(waiting, held, nodes held) of the person, whose project has the same."""
    assert wrong_allowances() == []
    return Allowance.objects.values_list("waiting", "held", "held_nodes").get(kind="person", holder_id=who.user_id)


def reporting(member: Any, job_id: int, state: JobState, now: datetime, **said: Any) -> None:
    report = Report(job_id=job_id, attempt=Job.objects.get(id=job_id).attempt, state=state, **said)
    report_jobs(caller=member.puller, agent=AGENT, reports=[report], now=now)


def test_a_job_waits_is_held_and_ends(alpha: Any, alice: Operator, now: datetime) -> None:
    first, second = submitted_by(alice, 2, nodes=4, now=now)
    assert has(alice) == (2, 0, 0)
    accept_jobs(caller=alpha.puller, job_ids=[first, second], agent=AGENT, now=now)
    assert has(alice) == (0, 2, 8)
    reporting(alpha, first, JobState.RUNNING, now)
    assert has(alice) == (0, 2, 8)
    reporting(alpha, first, JobState.COMPLETED, now)
    assert has(alice) == (0, 1, 4)


def test_a_lost_job_is_not_held_until_it_is_found(alpha: Any, alice: Operator, now: datetime) -> None:
    (job_id,) = submitted_by(alice, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)
    reporting(alpha, job_id, JobState.RUNNING, now)
    expire_leases(now=now + timedelta(seconds=301), present_since=now)
    expire_leases(now=now + timedelta(seconds=700), present_since=now)
    assert Job.objects.get(id=job_id).state == JobState.LOST
    assert has(alice) == (0, 0, 0)
    reporting(alpha, job_id, JobState.RUNNING, now + timedelta(seconds=701))
    assert has(alice) == (0, 1, 1)


def test_what_is_given_back_or_requeued_waits_again(alpha: Any, alice: Operator, now: datetime) -> None:
    first, second = submitted_by(alice, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[first, second], agent=AGENT, now=now)
    reporting(alpha, first, JobState.CANCELLED, now, returned=Return.NOT_STARTED)
    assert has(alice) == (1, 1, 1)
    requeue_jobs(by=alpha.puller, job_ids=[second], reason="again", now=now)
    assert has(alice) == (2, 0, 0)


def test_what_is_cancelled_withdrawn_or_expired_no_longer_waits(alpha: Any, alice: Operator, now: datetime) -> None:
    first, second = submitted_by(alice, 2, now=now)
    (third,) = submitted_by(alice, expires_at=now + timedelta(minutes=1), now=now)
    late = now + timedelta(minutes=2)
    fail_expired(expired=expired_jobs(now=late), now=late)
    assert Job.objects.get(id=third).state == JobState.FAILED
    assert has(alice) == (2, 0, 0)
    cancel_jobs(by=caller_of_person(alice.user_id), job_ids=[first], now=now)
    assert has(alice) == (1, 0, 0)
    Membership.objects.all().delete()
    accept_jobs(caller=alpha.puller, job_ids=[second], agent=AGENT, now=now)
    assert has(alice) == (0, 0, 0)


def test_a_job_of_no_agent_is_held_once_an_agent_reports_on_it(alpha: Any, alice: Operator, now: datetime) -> None:
    first, second = submitted_by(alice, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[first, second], now=now)
    assert has(alice) == (0, 0, 0)
    reporting(alpha, first, JobState.ACCEPTED, now)
    assert has(alice) == (0, 1, 1)
    reporting(alpha, second, JobState.COMPLETED, now)
    reporting(alpha, first, JobState.COMPLETED, now)
    assert has(alice) == (0, 0, 0)
