"""Jobs that wait when what their person or project may use is taken away: no cluster gets them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from clusters.callers import Operator
from clusters.models import Project
from clusters.services.people import set_active
from clusters.services.projects import (
    Change,
    close_project,
    grant_cluster,
    remove_member,
    withdraw_cluster,
)
from jobs.models import Job, JobEvent
from jobs.queries.explain import explain_wait
from jobs.queries.withdrawn import WITHDRAWN
from jobs.services.accept import RefusalReason, accept_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.services.withdrawn import settle_withdrawal, withdrawals_are_due
from jobs.specs import JobSpec
from jobs.states import JobState
from tests.support.members import caller_with, personal_token, project_of

pytestmark = pytest.mark.django_db

LATER = timedelta(minutes=1)
Deed = Callable[[Project, Change], object]
TAKEN_AWAY: dict[str, Deed] = {
    "the grant": lambda project, change: withdraw_cluster(project_id=project.id, cluster="alpha", change=change),
    "the membership": lambda project, change: remove_member(project_id=project.id, person="alice", change=change),
    "the project": lambda project, change: close_project(project_id=project.id, change=change),
    "the person": lambda _project, _change: User.objects.filter(username="alice").update(is_active=False),
}


def waiting_job(alice: Operator, now: datetime, *, cluster: str = "alpha") -> int:
    token = personal_token(alice, label=f"for {cluster}", now=now)
    caller = caller_with(token, cluster=cluster, now=now)
    order = Order(by=caller, cluster_id=caller.cluster_id, spec=JobSpec(command="hostname", nodes=1))
    (receipt,) = submit_jobs(orders=[order], now=now)
    assert isinstance(receipt, Receipt)
    return receipt.job_id


@pytest.mark.parametrize("agent", ["", "agent-1"], ids=["handed over", "with a lease"])
def test_what_may_still_run_is_accepted(alpha: Any, alice: Operator, agent: str, now: datetime) -> None:
    project_of(alice, now=now)
    job_id = waiting_job(alice, now)

    acceptance = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=agent, now=now)

    assert [accepted.job_id for accepted in acceptance.accepted] == [job_id]


@pytest.mark.parametrize("agent", ["", "agent-1"], ids=["handed over", "with a lease"])
@pytest.mark.parametrize("deed", TAKEN_AWAY.values(), ids=TAKEN_AWAY)
def test_what_may_no_longer_run_is_cancelled_in_place_of_accepted(
    alpha: Any, alice: Operator, deed: Deed, agent: str, now: datetime
) -> None:
    project = project_of(alice, now=now)
    job_id = waiting_job(alice, now)
    deed(project, Change(by=None, now=now))

    acceptance = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=agent, now=now)

    assert acceptance.accepted == []
    assert [refused.reason for refused in acceptance.refused] == [RefusalReason.NOT_QUEUED]
    job = Job.objects.get(id=job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, WITHDRAWN)
    event = JobEvent.objects.filter(job=job).latest("id")
    assert (event.what, event.why, event.who) == ("cancelled", WITHDRAWN, "the server")


@pytest.mark.parametrize("what", ["the grant", "the membership", "the project"])
def test_the_server_cancels_what_no_cluster_asks_for(alpha: Any, alice: Operator, what: str, now: datetime) -> None:
    project = project_of(alice, now=now)
    job_id = waiting_job(alice, now)
    TAKEN_AWAY[what](project, Change(by=None, now=now))

    assert settle_withdrawal(now=now) is None, "a submission may be under way"
    assert settle_withdrawal(now=now + LATER) == 1
    assert not withdrawals_are_due(now=now + LATER)

    job = Job.objects.get(id=job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, WITHDRAWN)
    assert JobEvent.objects.filter(job=job).latest("id").why == WITHDRAWN


def test_the_server_cancels_the_jobs_of_a_disabled_person_and_no_others(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project_of(alice, bob, now=now)
    of_alice, of_bob = waiting_job(alice, now), waiting_job(bob, now)
    set_active(person_id=alice.user_id, active=False, change=Change(by=None, now=now))

    assert settle_withdrawal(now=now + LATER) == 1

    assert Job.objects.get(id=of_alice).state == JobState.CANCELLED
    assert Job.objects.get(id=of_bob).state == JobState.QUEUED


def test_what_may_still_run_is_walked_over_in_batches(
    alpha: Any, beta: Any, alice: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.services.withdrawn._BATCH", 1)
    project = project_of(alice, at=("alpha", "beta"), now=now)
    kept, gone = waiting_job(alice, now), waiting_job(alice, now, cluster="beta")
    withdraw_cluster(project_id=project.id, cluster="beta", change=Change(by=None, now=now))

    assert [settle_withdrawal(now=now + LATER) for _ in range(4)] == [0, 1, 0, None]

    assert Job.objects.get(id=kept).state == JobState.QUEUED
    assert Job.objects.get(id=gone).state == JobState.CANCELLED


def test_why_such_a_job_waits_is_told_at_once(alpha: Any, alice: Operator, now: datetime) -> None:
    project = project_of(alice, now=now)
    job = Job.objects.get(id=waiting_job(alice, now))
    before = explain_wait(job=job, now=now)
    close_project(project_id=project.id, change=Change(by=None, now=now))

    after = explain_wait(job=job, now=now)

    assert before and after
    assert before.found != WITHDRAWN
    assert after.summary == f"{WITHDRAWN}; it will be cancelled"


def test_another_clusters_accept_cancels_nothing(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project = project_of(alice, now=now)
    job_id = waiting_job(alice, now)
    withdraw_cluster(project_id=project.id, cluster="alpha", change=Change(by=None, now=now))

    accept_jobs(caller=beta.puller, job_ids=[job_id], agent="agent-1", now=now)

    assert Job.objects.get(id=job_id).state == JobState.QUEUED


def test_what_is_granted_again_in_time_runs(alpha: Any, alice: Operator, now: datetime) -> None:
    project = project_of(alice, now=now)
    job_id = waiting_job(alice, now)
    withdraw_cluster(project_id=project.id, cluster="alpha", change=Change(by=None, now=now))
    grant_cluster(project_id=project.id, cluster="alpha", change=Change(by=None, now=now))

    acceptance = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="agent-1", now=now)

    assert [accepted.job_id for accepted in acceptance.accepted] == [job_id]
