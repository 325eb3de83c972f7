"""What must never be false of pools: the database refuses such rows from any writer."""

from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from clusters.models import Cluster, PoolMember

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool(now: datetime) -> Cluster:
    return Cluster.objects.create(name="big", pool=True, registered_at=now)


def test_a_cluster_that_an_earlier_release_inserts_is_no_pool(alpha: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO clusters_cluster (name, registered_at, last_bounds, not_ready, paused_reason, paused_by)"
            " VALUES ('earlier', %s, '{}', '', '', '')",
            [alpha.cluster.registered_at],
        )

    assert not Cluster.objects.get(name="earlier").pool


@pytest.mark.parametrize(
    "columns", [{"place": -1}, {"place": 100}, {"after_seconds": -1}, {"after_seconds": 86_401}], ids=str
)
def test_an_impossible_member_is_refused(alpha: Any, pool: Cluster, columns: dict[str, int]) -> None:
    with pytest.raises(IntegrityError, match="constraint"), transaction.atomic():
        PoolMember.objects.create(pool=pool, cluster=alpha.cluster, **{"place": 0, **columns})

    assert not PoolMember.objects.exists()


def test_a_cluster_is_in_a_pool_once(alpha: Any, pool: Cluster) -> None:
    PoolMember.objects.create(pool=pool, cluster=alpha.cluster, place=0)

    with pytest.raises(IntegrityError), transaction.atomic():
        PoolMember.objects.create(pool=pool, cluster=alpha.cluster, place=1)


def test_two_members_in_one_place_are_refused(alpha: Any, beta: Any, pool: Cluster) -> None:
    PoolMember.objects.create(pool=pool, cluster=alpha.cluster, place=0)

    with pytest.raises(IntegrityError), transaction.atomic():
        PoolMember.objects.create(pool=pool, cluster=beta.cluster, place=0)


def test_a_pool_is_no_member_of_itself(pool: Cluster) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        PoolMember.objects.create(pool=pool, cluster=pool, place=0)


@pytest.mark.parametrize("columns", [{"not_ready": "full"}, {"last_asked_at": True}], ids=str)
def test_a_pool_that_asks_is_refused(pool: Cluster, now: datetime, columns: dict[str, Any]) -> None:
    values = {name: now if value is True else value for name, value in columns.items()}

    with pytest.raises(IntegrityError), transaction.atomic():
        Cluster.objects.filter(id=pool.id).update(**values)
