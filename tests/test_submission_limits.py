"""Limits on waiting jobs and submissions a minute: what is beyond them is refused, and nothing else is."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from clusters.callers import Operator
from clusters.models import Allowance, ProjectEvent
from clusters.services.limits import limit_person, limit_project
from clusters.services.of_people import caller_of_person
from clusters.services.projects import Change
from jobs.models import Job
from jobs.queries.checks.allowances import wrong_allowances
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.mend import mend_allowances
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from rainbow.errors import InvalidArgument, LimitReached, NotFound, PermissionDenied, RainbowError
from tests.support.members import operator_of_projects, project_of, submitted_by
from tests.support.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db


def submitting(who: Operator, *keys: str, now: datetime, project: str = "") -> list[Receipt | RainbowError]:
    caller = caller_of_person(who.user_id, cluster="alpha")
    specs = [JobSpec(command="hostname", idempotency_key=key) for key in keys]
    orders = [Order(by=caller, cluster_id=caller.cluster_id, spec=spec, project=project) for spec in specs]
    return submit_jobs(orders=orders, now=now)


def limited(who: Operator, now: datetime, **wanted: int | None) -> None:
    limit_person(person=who.name, wanted=wanted, change=Change(by=None, now=now))


def kinds(outcomes: list[Receipt | RainbowError]) -> list[str]:
    return ["refused" if isinstance(one, LimitReached) else "duplicate" if one.duplicate else "new" for one in outcomes]  # type: ignore[union-attr]


def test_of_a_batch_as_many_as_fit_wait_and_the_last_are_refused(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, waiting=3)
    submitted_by(alice, now=now)

    outcomes = submitting(alice, "", "", "", "", now=now)

    assert kinds(outcomes) == ["new", "new", "refused", "refused"]
    assert "person alice has 3 of the 3 waiting jobs that it may" in str(outcomes[2])
    assert outcomes[2].code == "RESOURCE_EXHAUSTED" and outcomes[2].retry_after_seconds >= 1  # type: ignore[union-attr]
    assert Job.objects.count() == 3


def test_there_is_room_again_when_jobs_are_cancelled_and_accepted(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, waiting=2)
    first, second = submitted_by(alice, 2, now=now)
    cancel_jobs(by=caller_of_person(alice.user_id), job_ids=[first], now=now)
    accept_jobs(caller=alpha.puller, job_ids=[second], agent="agent-1", now=now)

    assert kinds(submitting(alice, "", "", "", now=now)) == ["new", "new", "refused"]


def test_a_limit_of_a_project_is_shared_by_its_members(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project = project_of(alice, bob, now=now)
    limit_project(project_id=project.id, wanted={"waiting": 3}, change=Change(by=None, now=now))
    submitted_by(alice, 2, now=now)

    outcomes = submitting(bob, "", "", now=now)

    assert kinds(outcomes) == ["new", "refused"]
    assert "project chem has 3 of the 3" in str(outcomes[1])


def test_what_repeats_a_submission_needs_no_room_and_is_never_refused(
    alpha: Any, alice: Operator, now: datetime
) -> None:
    project_of(alice, now=now)
    limited(alice, now, waiting=3, submissions=3)
    submitting(alice, "a", "b", now=now)

    assert kinds(submitting(alice, "a", "b", "a", "c", "d", "d", "b", now=now)) == [
        "duplicate", "duplicate", "duplicate", "new", "refused", "refused", "duplicate",
    ]  # fmt: skip
    assert kinds(submitting(alice, "c", "a", now=now)) == ["duplicate", "duplicate"]
    allowance = Allowance.objects.get(kind="person", holder_id=alice.user_id)
    assert (allowance.waiting, allowance.submitted) == (3, 3_000_000)


def test_submissions_a_minute_drain_evenly(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, submissions=6)

    outcomes = submitting(alice, *[""] * 8, now=now)

    assert kinds(outcomes) == ["new"] * 6 + ["refused"] * 2
    assert str(outcomes[6]) == "person alice submitted the 6 jobs a minute that it may; submit again in 10 seconds"
    assert outcomes[6].retry_after_seconds == 10  # type: ignore[union-attr]
    assert kinds(submitting(alice, "", now=now + timedelta(seconds=9))) == ["refused"]
    assert kinds(submitting(alice, "", "", now=now + timedelta(seconds=10))) == ["new", "refused"]
    # A clock that lags lets no more pass.
    assert kinds(submitting(alice, "", now=now)) == ["refused"]
    assert kinds(submitting(alice, *[""] * 7, now=now + timedelta(minutes=5))) == ["new"] * 6 + ["refused"]


def test_a_new_limit_counts_no_submissions_of_before(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    submitted_by(alice, 10, now=now)
    limited(alice, now, submissions=6)

    assert kinds(submitting(alice, "", now=now + timedelta(seconds=10))) == ["new"]


def test_the_defaults_are_settings_and_an_operator_may_set_others(
    alpha: Any, alice: Operator, bob: Operator, now: datetime, settings: Any
) -> None:
    project_of(alice, bob, now=now)
    settings.RAINBOW_PERSON_WAITING = 1
    limited(bob, now, waiting=0)

    assert kinds(submitting(alice, "", "", now=now)) == ["new", "refused"]
    assert kinds(submitting(bob, "", "", now=now)) == ["new", "new"]
    limited(bob, now, waiting=None)
    assert kinds(submitting(bob, "", now=now)) == ["refused"]


def test_only_operators_of_projects_set_limits_and_wrong_ones_are_refused(
    alpha: Any, alice: Operator, now: datetime
) -> None:
    project = project_of(lead=alice, now=now)
    by_lead, by_operator = Change(by=alice, now=now), Change(by=operator_of_projects("carol"), now=now)

    with pytest.raises(PermissionDenied):
        limit_project(project_id=project.id, wanted={"waiting": 1}, change=by_lead)
    with pytest.raises(PermissionDenied):
        limit_person(person="alice", wanted={"waiting": 1}, change=by_lead)
    with pytest.raises(InvalidArgument, match="waiting: must be 0 to"):
        limit_person(person="alice", wanted={"waiting": -1}, change=by_operator)
    with pytest.raises(NotFound):
        limit_person(person="nemo", wanted={"waiting": 1}, change=by_operator)
    assert limit_project(project_id=project.id, wanted={"waiting": 1, "submissions": 0}, change=by_operator)
    assert not limit_project(project_id=project.id, wanted={"waiting": 1}, change=by_operator)
    assert ProjectEvent.objects.get(what="limited").about == "1 waiting jobs, any number of submissions a minute"


def test_check_records_finds_and_mends_wrong_counts(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    submitted_by(alice, 2, now=now)
    assert wrong_allowances() == []
    Allowance.objects.filter(kind="person").update(waiting=7)
    Allowance.objects.filter(kind="project").delete()

    assert sorted(one.says for one in mend_allowances()) == [
        f"person {alice.user_id}: 7 waiting, 0 held, 0 nodes are counted; 2, 0, 0 there",
        f"project {Job.objects.first().project_id}: 0 waiting, 0 held, 0 nodes are counted; 2, 0, 0 there",  # type: ignore[union-attr]
    ]
    assert wrong_allowances() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [1, 7])
def test_sixteen_at_once_submit_not_one_too_many(alpha: Any, alice: Operator, now: datetime, size: int) -> None:
    project = project_of(alice, now=now)
    limit_project(project_id=project.id, wanted={"waiting": 40}, change=Change(by=None, now=now))

    def submit(_: int) -> list[str]:
        try:
            return kinds(submitting(alice, *[""] * size, now=now))
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        outcomes = [kind for found in pool.map(submit, range(64), timeout=PATIENCE_SECONDS) for kind in found]

    assert outcomes.count("new") == Job.objects.count() == 40
    assert wrong_allowances() == []
