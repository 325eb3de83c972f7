"""Making and changing pools."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User

from clusters.callers import Claim, Operator
from clusters.models import Cluster, ClusterEvent, Credential, CredentialKind
from clusters.services.authenticate import admit
from clusters.services.credentials import create_credential, revoke_credential, rotate_credential
from clusters.services.events import list_events
from clusters.services.pause import pause_cluster, resume_cluster
from clusters.services.register import register_cluster
from jobs.models import Serves
from jobs.services.pools import Member, change_pool, create_pool, members_of
from rainbow.errors import AlreadyExists, InvalidArgument, NotFound, RainbowError, Unauthenticated
from tests.support.pools import Pool, pool_of
from tests.support.queue import operator_named, submitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


def told(pool: Cluster) -> list[tuple[str, str, str]]:
    """What the events of a pool say, the newest first."""
    return [(event.what, event.who, event.why) for event in list_events(cluster_id=pool.id, most=100)]


def test_a_pool_is_made_with_its_members_in_order_and_a_token(
    alpha: Any, beta: Any, olga: Operator, now: datetime
) -> None:
    members = [Member(cluster="beta"), Member(cluster="alpha", after_seconds=90)]

    new = create_pool(name="big", members=members, by=olga, reason="for everyone", now=now)

    assert members_of(new.pool) == members
    caller = admit(Claim(value=new.token.value, cluster="big"), now=now)
    assert (caller.cluster, caller.pool, caller.kind, caller.issued_by) == ("big", True, "token", "olga")
    assert told(new.pool) == [("pool_made", "olga", "beta, alpha after 90 s: for everyone")]
    assert LogEntry.objects.get().change_message == "made a pool: beta, alpha after 90 s: for everyone"


def test_a_token_of_a_pool_is_stored_as_a_digest_alone(alpha: Any, now: datetime) -> None:
    pool = pool_of("alpha", now=now)

    stored = [str(row) for model in (Cluster, Credential, ClusterEvent) for row in model.objects.values()]

    assert not [row for row in stored if pool.token in row]


IMPOSSIBLE: list[tuple[str, Sequence[Member], str]] = [
    ("", [Member(cluster="alpha")], "name: must be 1 to 63"),
    (".big", [Member(cluster="alpha")], "name: must be 1 to 63"),
    ("b" * 64, [Member(cluster="alpha")], "name: must be 1 to 63"),
    ("big", [], "members: must be 1 to 100 clusters, not 0"),
    ("big", [Member(cluster="alpha")] * 101, "members: must be 1 to 100 clusters, not 101"),
    ("big", [Member(cluster="alpha")] * 2, "members: alpha is named twice"),
    ("big", [Member(cluster="gamma")], "members: there is no cluster 'gamma'"),
    ("big", [Member(cluster="\0")], "members: must be 1 to 63"),
    ("big", [Member(cluster="other")], "members: other is a pool; the members of a pool are clusters"),
    ("big", [Member(cluster="alpha", after_seconds=-1)], "after_seconds: must be 0 to 86,400, not -1"),
    ("big", [Member(cluster="alpha", after_seconds=86_401)], "after_seconds: must be 0 to 86,400, not 86,401"),
]


@pytest.mark.parametrize(("name", "members", "refusal"), IMPOSSIBLE)
def test_a_pool_that_cannot_be_is_refused(
    alpha: Any, olga: Operator, now: datetime, name: str, members: Sequence[Member], refusal: str
) -> None:
    pool_of("alpha", name="other", now=now)

    with pytest.raises((InvalidArgument, NotFound)) as found:
        create_pool(name=name, members=members, by=olga, now=now)

    assert str(found.value).startswith(refusal)
    assert Cluster.objects.filter(pool=True).count() == 1


def test_clusters_and_pools_share_one_name_space(alpha: Any, olga: Operator, now: datetime) -> None:
    pool_of("alpha", now=now)

    for taken in ("alpha", "big"):
        with pytest.raises(AlreadyExists, match="a cluster or a pool has this name"):
            create_pool(name=taken, members=[Member(cluster="alpha")], by=olga, now=now)
    assert register_cluster(name="big", offered_secret="", registration_secret="", now=now) is None


CHANGES: list[tuple[list[Member], str]] = [
    ([Member(cluster="alpha")], "removed beta"),
    ([Member(cluster="beta", after_seconds=60), Member(cluster="alpha")], "in the order beta, alpha"),
    ([Member(cluster="alpha"), Member(cluster="beta")], "beta after 0 s, not 60 s"),
    ([Member(cluster="mallory", after_seconds=5)], "added mallory after 5 s; removed alpha, beta"),
]


@pytest.mark.parametrize(("members", "change"), CHANGES)
def test_a_change_says_what_is_different(
    alpha: Any, beta: Any, mallory: Any, olga: Operator, now: datetime, members: list[Member], change: str
) -> None:
    pool = pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)

    assert change_pool(pool_id=pool.cluster.id, members=members, by=olga, reason="a new machine", now=now)

    assert members_of(pool.cluster) == members
    assert told(pool.cluster)[0] == ("pool_changed", "olga", f"{change}: a new machine")


def test_a_change_applies_to_jobs_that_wait(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    pool = pool_of("alpha", now=now)
    submitted(pool, now=now)
    serves = Serves.objects.values_list("cluster__name", "after_seconds").order_by("cluster__name")
    assert list(serves) == [("alpha", 0)]

    members = [Member(cluster="beta", after_seconds=5), Member(cluster="alpha", after_seconds=60)]
    change_pool(pool_id=pool.cluster.id, members=members, by=olga, now=now)

    assert list(serves.all()) == [("alpha", 60), ("beta", 5)]


def test_a_change_that_changes_nothing_is_no_event(alpha: Any, olga: Operator, now: datetime) -> None:
    pool = pool_of("alpha", now=now)

    assert not change_pool(pool_id=pool.cluster.id, members=[Member(cluster="alpha")], by=olga, now=now)

    assert [what for what, _, _ in told(pool.cluster)] == ["pool_made"]


def test_a_refused_change_leaves_a_pool_as_it_was(alpha: Any, olga: Operator, now: datetime) -> None:
    pool = pool_of("alpha", now=now)

    for members in ([], [Member(cluster="gamma")], [Member(cluster="big")]):
        with pytest.raises((InvalidArgument, NotFound)):
            change_pool(pool_id=pool.cluster.id, members=members, by=olga, now=now)

    assert members_of(pool.cluster) == [Member(cluster="alpha")]


def test_a_cluster_has_no_members(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    for pool_id in (alpha.cluster.id, 987):
        with pytest.raises(NotFound, match="there is no such pool"):
            change_pool(pool_id=pool_id, members=[Member(cluster="beta")], by=olga, now=now)


def test_a_large_change_keeps_its_reason_whole(olga: Operator, now: datetime) -> None:
    names = [f"cluster-with-a-rather-long-name-{number}" for number in range(100)]
    Cluster.objects.bulk_create(Cluster(name=name, registered_at=now) for name in names)

    for reason in ("why", "r" * 1_000):
        new = create_pool(
            name=f"pool-{len(reason)}", members=[Member(cluster=one) for one in names], by=olga, reason=reason, now=now
        )
        why = told(new.pool)[0][2]
        assert len(why) <= 1_000
        assert why.endswith(reason)


# Credentials


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", "beta", now=now)


def test_a_pool_has_no_secret(pool: Pool, olga: Operator, now: datetime) -> None:
    with pytest.raises(InvalidArgument, match="kind: a pool has no secret"):
        create_credential(cluster=pool.cluster, kind=CredentialKind.SECRET, label="agent", by=olga, now=now)

    assert not pool.cluster.credentials.filter(kind=CredentialKind.SECRET).exists()


def test_tokens_of_a_pool_are_made_rotated_and_revoked(pool: Pool, olga: Operator, now: datetime) -> None:
    made = create_credential(cluster=pool.cluster, kind=CredentialKind.TOKEN, label="ci", by=olga, now=now)
    rotated = rotate_credential(cluster_id=pool.cluster.id, kind=CredentialKind.TOKEN, label="ci", by=olga, now=now)
    assert admit(Claim(value=rotated.value), now=now).cluster == "big"

    revoke_credential(credential=rotated.credential, by=olga, now=now)

    for value in (made.value, rotated.value):
        with pytest.raises(Unauthenticated):
            admit(Claim(value=value), now=now)


@pytest.mark.parametrize("cluster", ["alpha", "big"])
def test_a_token_of_a_pool_is_good_for_its_pool_alone(pool: Pool, now: datetime, cluster: str) -> None:
    for kinds, good in (([CredentialKind.TOKEN], cluster == "big"), ([CredentialKind.SECRET], False)):
        claim = Claim(value=pool.token, cluster=cluster, kinds=frozenset(kinds))
        try:
            assert admit(claim, now=now).cluster == "big"
            admitted = True
        except Unauthenticated:
            admitted = False
        assert admitted == good


def test_a_pool_is_paused_and_resumed_like_a_cluster(pool: Pool, olga: Operator, now: datetime) -> None:
    pause_cluster(cluster_id=pool.cluster.id, reason="full", by=olga, now=now)
    assert admit(Claim(value=pool.token), now=now).paused
    resume_cluster(cluster_id=pool.cluster.id, by=olga, now=now)

    assert [what for what, _, _ in told(pool.cluster)] == ["resumed", "paused", "pool_made"]
    with pytest.raises(RainbowError):
        resume_cluster(cluster_id=pool.cluster.id, by=olga, now=now)


def test_the_maker_of_a_pool_stands_behind_its_token(pool: Pool) -> None:
    assert pool.submitter.issued_by_id == User.objects.get(username="maker-of-big").id
