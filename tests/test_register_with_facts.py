"""A cluster that says at once what it has is stored with it, or not at all."""

from datetime import datetime

import pytest

from clusters.facts import Facts, Partition
from clusters.models import Cluster, ClusterEvent
from jobs.services import facts as told
from jobs.services.register_with_facts import register_with_facts
from rainbow.errors import InvalidArgument

FACTS = Facts(values={"site": "a"}, partitions=(Partition(name="all", nodes=1),))


def register(now: datetime, facts: Facts | None = FACTS) -> bool:
    return bool(
        register_with_facts(
            name="keebler", offered_secret="right", registration_secret="right", facts=facts, now=now
        )
    )  # fmt: skip


def test_a_cluster_is_stored_with_its_facts(db: None, now: datetime) -> None:
    assert register(now)

    assert Facts.read(Cluster.objects.get(name="keebler").facts) == FACTS


def test_a_failure_in_the_middle_stores_nothing(db: None, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a server dies: the name is free, so the same call again succeeds."""
    with monkeypatch.context() as broken:
        broken.setattr(told, "note_facts", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            register(now)

    assert not Cluster.objects.filter(name="keebler").exists()
    assert not ClusterEvent.objects.exists()
    assert register(now)


def test_facts_beyond_the_bounds_store_nothing(db: None, now: datetime) -> None:
    with pytest.raises(InvalidArgument):
        register(now, Facts(values={"1": "names begin with a letter"}))

    assert not Cluster.objects.filter(name="keebler").exists()


def test_a_name_that_is_taken_keeps_its_facts(db: None, now: datetime) -> None:
    register(now)

    assert not register(now, Facts(values={"site": "b"}))
    assert Facts.read(Cluster.objects.get(name="keebler").facts) == FACTS
