"""A pool changes while jobs are submitted to it, while it changes otherwise, and while its clusters tell facts."""

from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from clusters.callers import Operator
from clusters.models import PoolMember
from jobs.models import Serves
from jobs.services.pools import Member, change_pool, members_of
from jobs.services.serving import facts_changed, lock_with_pools
from tests.support.pools import Pool, pool_of
from tests.support.queue import operator_named, submitted
from tests.support.turns import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("postgresql_only")]


@pytest.fixture
def pool(alpha: Any, beta: Any, mallory: Any, now: datetime) -> Pool:
    return pool_of("beta", now=now)


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


def served() -> set[tuple[str, int]]:
    return set(Serves.objects.filter(queue__cluster__pool=True).values_list("cluster__name", "after_seconds"))


def members() -> set[tuple[str, int]]:
    return set(PoolMember.objects.values_list("cluster__name", "after_seconds"))


def change(pool: Pool, by: Operator, now: datetime, *wanted: Member) -> bool:
    return change_pool(pool_id=pool.cluster.id, members=wanted, by=by, now=now)


@pytest.mark.parametrize("first", ["change", "submission"])
def test_a_new_kind_of_job_is_served_by_whom_the_pool_has_in_the_end(
    pool: Pool, olga: Operator, now: datetime, first: str
) -> None:
    turns = {
        "change": lambda: change(pool, olga, now, Member(cluster="alpha", after_seconds=5)),
        "submission": lambda: submitted(pool, now=now),
    }
    second = next(name for name in turns if name != first)

    race(turns[first], turns[second])

    assert served() == members() == {("alpha", 5)}


def test_two_changes_at_once_leave_one_of_them(pool: Pool, olga: Operator, now: datetime) -> None:
    submitted(pool, now=now)
    ways = [[Member(cluster="alpha"), Member(cluster="mallory")], [Member(cluster="mallory"), Member(cluster="beta")]]

    race(*(lambda wanted=wanted: change(pool, olga, now, *wanted) for wanted in ways))  # type: ignore[misc]

    assert members_of(pool.cluster) == ways[1]
    assert served() == members()


def test_facts_and_a_change_do_not_lock_one_another_out(
    pool: Pool, alpha: Any, beta: Any, olga: Operator, now: datetime
) -> None:
    submitted(pool, now=now)

    @transaction.atomic
    def facts() -> None:
        lock_with_pools([beta.cluster.id])
        facts_changed(cluster_ids=[beta.cluster.id])

    race(lambda: change(pool, olga, now, Member(cluster="mallory"), Member(cluster="alpha")), facts)

    assert served() == members() == {("mallory", 0), ("alpha", 0)}
