"""What is read of a group reads the members that it is about, however many there are."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from jobs.models import GroupCount, Job, JobGroup, Wish
from jobs.queries.groups import get_group, list_groups
from jobs.queries.lookup import list_jobs
from jobs.queries.search import Search
from jobs.services.group_steps import due_groups, step_group
from jobs.services.relays import end_relay
from jobs.states import JobState
from tests.support.planner import gather_statistics
from tests.test_groups import new_group, submitted
from tests.test_plans import plans_of, statements_of

pytestmark = pytest.mark.django_db

MEMBERS = 3_000


@pytest.fixture
def sweep(alpha: Any, now: datetime) -> int:
    """A group whose members wait for their turns, but for a few."""
    group, ids = new_group(alpha.submitter, 100, now, more=True, at_once=2)
    for first in range(100, MEMBERS, 1_000):
        submitted(alpha.submitter, 1_000, now, first=first, group_id=group, more=True)
    step_group(group_id=group, now=now)
    Job.objects.filter(id__in=ids[-20:]).update(state=JobState.FAILED, finished_at=now)
    GroupCount.objects.create(group_id=group, state=JobState.FAILED, slot=1, jobs=20)
    if connection.vendor == "postgresql":
        gather_statistics()
    return group


def reads_all_members(plan: str) -> bool:
    return bool(re.search(r"(Seq Scan on|SCAN) (jobs_job|j)\b|job_by_state|\(group>\?\)", plan))


def test_a_group_is_shown_without_its_members(alpha: Any, sweep: int) -> None:
    plans = plans_of(lambda: get_group(by=alpha.submitter, group_id=sweep))

    assert not any(map(reads_all_members, plans))
    assert not any("jobs_job " in sql for sql in statements_of(lambda: list_groups(by=alpha.submitter)))


def test_what_is_due_is_found_without_walking_the_members(alpha: Any, sweep: int, now: datetime) -> None:
    plans = plans_of(lambda: due_groups(now=now))

    assert not any(map(reads_all_members, plans))
    assert any("job_held" in plan for plan in plans)


def test_the_next_members_are_found_in_their_order(alpha: Any, sweep: int, now: datetime) -> None:
    Job.objects.filter(group=sweep, state=JobState.QUEUED).update(state=JobState.CANCELLED, finished_at=now)

    plans = plans_of(lambda: step_group(group_id=sweep, now=now))

    assert not any(map(reads_all_members, plans))


def test_the_members_are_listed_by_their_index(alpha: Any, sweep: int) -> None:
    search = Search(group=sweep, states=[JobState.FAILED], size=10)

    plans = plans_of(lambda: list_jobs(by=alpha.submitter, search=search))

    assert any("job_by_group" in plan for plan in plans)
    assert not any(map(reads_all_members, plans))


def test_groups_that_are_going_are_listed_without_the_finished(alpha: Any, sweep: int, now: datetime) -> None:
    JobGroup.objects.bulk_create(
        JobGroup(
            cluster=alpha.cluster,
            submitted_by_id=alpha.submitter.credential,
            made_at=now,
            added_at=now,
            open=False,
            finished_at=now,
        )
        for _ in range(1_000)
    )
    if connection.vendor == "postgresql":
        gather_statistics()

    for by in (alpha.submitter, alpha.puller):
        plans = plans_of(lambda by=by: list_groups(by=by, going=True), among="jobs_jobgroup")
        assert any("group_going" in plan for plan in plans)


def test_the_wish_of_a_relay_is_found_by_its_job(alpha: Any, now: datetime) -> None:
    Wish.objects.bulk_create(
        Wish(kind="read", cluster=alpha.cluster, agent=f"agent-{number}", job_id=number + 1, made_at=now)
        for number in range(1_000)
    )
    if connection.vendor == "postgresql":
        gather_statistics()

    plans = plans_of(lambda: end_relay(relay="none"), among="jobs_wish")

    assert any("wish_by_job" in plan for plan in plans)
