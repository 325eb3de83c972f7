"""How a pool fares: it has no agent, so what counts is whether its clusters take jobs."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim, Operator
from clusters.models import Streak
from clusters.services.authenticate import admit, note_visits
from clusters.services.pause import note_readiness, pause_cluster, resume_token
from clusters.services.streaks import End, held_back_of, note_ends
from grpc_api.rpcs.jobs import summarize
from jobs.queries.fleet_health import Health, concerns, fleet_health
from jobs.queries.warnings import warn_caller
from jobs.services.pools import Member
from rainbow.errors import FailedPrecondition
from rainbow.protos import rainbow_pb2 as pb
from tests.support.members import caller_with, project_of, token_of
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted
from tests.support.rest import Rest

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)


def asked(member: Any, at: datetime) -> None:
    note_visits(used=[], asked={member.cluster.id: Bounds()}, now=at)


def seen(pool: Pool, now: datetime) -> Caller:
    return admit(Claim(value=pool.token), now=now)


def health_of(pool: Pool, now: datetime) -> Health:
    return next(health for health in fleet_health(now=now) if health.cluster.id == pool.cluster.id)


def texts(now: datetime) -> list[str]:
    fleet = fleet_health(now=now)
    return [one.text for one in concerns(fleet=fleet, development_secret=False, debug=False, now=now)]


def test_a_pool_asks_when_one_of_its_clusters_does(pool: Pool, beta: Any, now: datetime) -> None:
    assert health_of(pool, now).silence is None

    asked(beta, now)

    later = now + timedelta(minutes=2)
    assert health_of(pool, later).asks
    assert health_of(pool, later).silence == timedelta(minutes=2)
    assert seen(pool, later).last_asked_at == now
    assert warn_caller(seen(pool, later), now=later) == ""


def test_the_last_of_the_clusters_counts(pool: Pool, alpha: Any, beta: Any, now: datetime) -> None:
    asked(beta, now - timedelta(hours=1))
    asked(alpha, now - timedelta(minutes=10))

    assert seen(pool, now).last_asked_at == health_of(pool, now).last_asked_at == now - timedelta(minutes=10)
    assert warn_caller(seen(pool, now), now=now) == (
        "the clusters of big that take jobs last asked for them 10 minutes ago"
    )


@pytest.mark.parametrize("hindered", ["paused", "not ready", "silent"])
def test_clusters_that_take_no_jobs_do_not_count(pool: Pool, alpha: Any, now: datetime, hindered: str) -> None:
    if hindered != "silent":
        asked(alpha, now)
    if hindered == "paused":
        pause_cluster(cluster_id=alpha.cluster.id, reason="maintenance", by=None, now=now)
    if hindered == "not ready":
        note_readiness(cluster_id=alpha.cluster.id, not_ready="no disk")

    assert not health_of(pool, now).asks
    assert seen(pool, now).last_asked_at is None
    assert warn_caller(seen(pool, now), now=now) == (
        "no cluster of big takes jobs: each is paused, is not ready or has never asked for jobs"
    )


def test_a_paused_pool_says_so(pool: Pool, alpha: Any, now: datetime) -> None:
    asked(alpha, now)
    pause_cluster(cluster_id=pool.cluster.id, reason="too many jobs", by=None, now=now)

    assert warn_caller(seen(pool, now), now=now) == "big is paused: too many jobs"


def test_a_pool_needs_attention_only_when_its_jobs_wait_for_nobody(pool: Pool, beta: Any, now: datetime) -> None:
    assert texts(now) == []
    submitted(pool, 2, now=now)
    assert texts(now) == ["No cluster of big takes jobs, and 2 jobs wait"]

    asked(beta, now)

    assert texts(now) == []
    later = now + timedelta(minutes=42)
    assert texts(later) == ["The clusters of big that take jobs have not asked for 42 minutes, and 2 jobs wait"]


@pytest.mark.parametrize("pools", [1, 5])
def test_health_takes_the_same_queries_for_any_number_of_pools(
    alpha: Any, beta: Any, now: datetime, pools: int, django_assert_num_queries: Any
) -> None:
    for number in range(pools):
        pool_of("alpha", "beta", name=f"pool-{number}", now=now)

    with django_assert_num_queries(11):
        concerns(fleet=fleet_health(now=now), development_secret=False, debug=False, now=now)


def test_the_health_of_all_reads_each_cluster_once_however_many_pools_it_is_in(
    alpha: Any, beta: Any, now: datetime
) -> None:
    for number in range(3):
        pool_of("alpha", "beta", name=f"pool-{number}", now=now)

    with CaptureQueriesContext(connection) as captured:
        fleet = fleet_health(now=now)

    read = [query["sql"] for query in captured if "clusters_poolmember" in query["sql"]]
    assert read
    assert not any("last_bounds" in sql for sql in read)
    pools = [[member.cluster.name for member in one.members] for one in fleet if one.cluster.pool]
    assert pools == [["alpha", "beta"]] * 3


# What is held back


def fail(cluster: Any, caller: Caller, now: datetime) -> None:
    """Two jobs of the caller fail at once there, which holds the others back."""
    end = End(credential_id=caller.credential_id, at_once=True, reason="no such file")
    note_ends(cluster_id=cluster.cluster.id, ends=[end, end], hold_after=2, now=now)


def test_a_token_of_a_pool_sees_and_releases_what_any_cluster_holds_back(
    pool: Pool, alpha: Any, beta: Any, now: datetime
) -> None:
    for member in (alpha, beta):
        fail(member, pool.submitter, now)

    told = summarize(pb.SummarizeJobsRequest(), seen(pool, now), now)
    failed = "2 jobs in a row failed at once; the last one: no such file"
    assert [(held.token, held.reason) for held in told.held_back] == [
        ("default", f"alpha: {failed}"),
        ("default", f"beta: {failed}"),
    ]
    released = resume_token(by=pool.submitter, now=now)
    assert {one.cluster.name for one in released.held_back} == {"alpha", "beta"}
    assert not Streak.objects.exists()


def test_a_token_of_a_pool_releases_its_own_jobs_alone(pool: Pool, alpha: Any, now: datetime) -> None:
    fail(alpha, alpha.submitter, now)

    assert held_back_of(pool.submitter) == []
    with pytest.raises(FailedPrecondition, match="no jobs of this token are held back"):
        resume_token(by=pool.submitter, now=now)


def test_a_token_of_a_cluster_sees_nothing_of_what_is_held_elsewhere(
    pool: Pool, alpha: Any, beta: Any, now: datetime
) -> None:
    fail(beta, alpha.submitter, now)

    assert held_back_of(alpha.submitter) == []


def test_a_persons_token_reads_of_each_cluster_what_that_holds_back(
    pool: Pool, alpha: Any, beta: Any, alice: Operator, now: datetime
) -> None:
    project_of(alice, at=("alpha", "beta", pool.name), now=now)
    value = token_of(alice)
    mine = Rest(value)
    fail(alpha, caller_with(value, cluster="alpha", now=now), now)

    def held(found: dict[str, Any]) -> int:
        return len(found["held_back"])

    names = ("alpha", "beta", pool.name)
    assert {one["name"]: held(one) for one in mine.get("clusters").json()} == dict(zip(names, (1, 0, 1), strict=True))
    assert [held(mine.get(f"clusters/{name}").json()) for name in names] == [1, 0, 1]
