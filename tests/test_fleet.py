"""How the clusters fare, and what somebody should look at."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.bounds import Bounds
from clusters.models import Cluster, CredentialKind
from clusters.services.authenticate import note_visits
from clusters.services.credentials import create_credential
from clusters.services.pause import note_readiness, pause_cluster
from jobs.models import Job
from jobs.queries.fleet_health import ConcernKind, Health, concerns, fleet_health
from jobs.queries.search import Search
from jobs.queries.silence import SETTLED_AFTER
from jobs.services.accept import accept_jobs
from jobs.services.actions import Action
from jobs.services.bulk_actions import begin_bulk_action
from jobs.services.expire import expire_leases
from jobs.sql.inserts import activity_added
from jobs.sql.statements import run_in_order
from jobs.states import ActionKind, JobState
from tests.conftest import registered
from tests.support.queue import operator_named, submitted


def texts(now: datetime, *, development_secret: bool = False, debug: bool = False) -> list[str]:
    return [
        found.text
        for found in concerns(fleet=fleet_health(now=now), development_secret=development_secret, debug=debug, now=now)
    ]


def asked(member: Any, at: datetime) -> None:
    note_visits(used=[], asked={member.cluster.id: Bounds()}, now=at)


def test_health_says_what_waits_and_since_when(alpha: Any, beta: Any, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now)
    asked(alpha, now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], now=now)

    first, second = fleet_health(now=now + timedelta(minutes=2))

    assert (first.waiting, first.summary.counts[JobState.ACCEPTED], first.asks) == (2, 1, True)
    assert (first.silence, first.summary.oldest_submitted_at) == (timedelta(minutes=2), now)
    assert (second.waiting, second.silence, second.asks) == (0, None, False)


@pytest.mark.parametrize("clusters", [2, 20])
def test_health_takes_the_same_queries_for_any_number_of_clusters(
    db: None, now: datetime, clusters: int, django_assert_num_queries: Any
) -> None:
    Cluster.objects.bulk_create([Cluster(name=f"c{number}", registered_at=now) for number in range(clusters)])

    with django_assert_num_queries(10):
        concerns(fleet=fleet_health(now=now), development_secret=False, debug=False, now=now)


def test_a_quiet_fleet_needs_no_attention(alpha: Any, beta: Any, now: datetime) -> None:
    submitted(alpha, now=now)
    asked(alpha, now)

    assert texts(now) == []


def test_a_silent_cluster_matters_only_when_jobs_wait(alpha: Any, beta: Any, mallory: Any, now: datetime) -> None:
    for member in (alpha, beta):
        asked(member, now)
    submitted(alpha, 1_234, now=now)
    submitted(mallory, now=now)

    assert texts(now + timedelta(minutes=42)) == [
        "alpha is silent: its agent has not asked for 42 minutes, and 1,234 jobs wait",
        "mallory is silent: its agent has never asked, and 1 job wait",
    ]


def test_a_cluster_that_said_why_it_takes_nothing_is_not_silent(alpha: Any, now: datetime) -> None:
    asked(alpha, now)
    submitted(alpha, now=now)
    note_readiness(cluster_id=alpha.cluster.id, not_ready="slurmctld does not answer")

    assert texts(now + timedelta(minutes=42)) == [
        "alpha is not ready: slurmctld does not answer; its agent has not asked for 42 minutes, and 1 job wait"
    ]


@pytest.mark.parametrize(("clusters", "silent"), [(3, "c0, c1, c2"), (7, "c0, c1, c2, c3, c4 and others")])
def test_leases_that_are_held_back_need_attention(db: None, now: datetime, clusters: int, silent: str) -> None:
    for number in range(clusters):
        member = registered(f"c{number}", now - SETTLED_AFTER)
        accept_jobs(
            caller=member.puller, job_ids=submitted(member, now=now), agent="agent-1", lease_seconds=10, now=now
        )
    expire_leases(now=now)
    for seconds in (5, 10, 15):
        expire_leases(now=now + timedelta(seconds=seconds))

    assert texts(now + timedelta(minutes=4, seconds=15)) == [
        "Most clusters have been silent at once for 4 minutes: it may be the network, so their leases run on. "
        f"In 56 minutes their jobs are taken for lost. Silent: {silent}"
    ]


def test_lost_jobs_need_attention(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent="a", now=now)
    Job.objects.filter(id__in=ids).update(state=JobState.LOST, lost_at=now, lease_expires_at=None)
    from_counts = fleet_health(now=now)[0].summary.counts
    from_counts[JobState.LOST] = from_counts.pop(JobState.ACCEPTED)
    health = fleet_health(now=now)[0]
    lost = Health(cluster=health.cluster, summary=health.summary, hour={}, day={}, held=[], now=now)
    lost.summary.counts.update(from_counts)

    assert [found.kind for found in concerns(fleet=[lost], development_secret=False, debug=False, now=now)] == [
        ConcernKind.LOST
    ]


@pytest.mark.parametrize(
    ("failed", "completed", "failed_before", "jumped"),
    [(40, 10, 1, True), (4, 0, 0, False), (5, 95, 0, False), (50, 50, 30, False)],
)
def test_a_jump_of_the_failure_rate_needs_attention(
    alpha: Any, now: datetime, failed: int, completed: int, failed_before: int, jumped: bool
) -> None:
    yesterday = now - timedelta(hours=12)
    run_in_order(
        activity_added({(alpha.cluster.id, "failed"): failed_before, (alpha.cluster.id, "completed"): 70}, yesterday)
    )
    run_in_order(
        activity_added({(alpha.cluster.id, "failed"): failed, (alpha.cluster.id, "completed"): completed}, now)
    )

    found = texts(now + timedelta(minutes=10))

    assert len(found) == jumped
    if jumped:
        assert found == ["alpha fails more than usual: 40 of 50 jobs in the last hour, 1 % the day before"]


def test_what_can_wait_comes_after_what_cannot(alpha: Any, beta: Any, now: datetime) -> None:
    pause_cluster(cluster_id=alpha.cluster.id, reason="moving house", by=None, now=now)
    submitted(alpha, 2, now=now)
    submitted(beta, 2, now=now)
    later = now + timedelta(days=2)
    asked(alpha, later)
    expires = later + timedelta(days=3)
    create_credential(
        cluster=alpha.cluster, kind=CredentialKind.TOKEN, label="nightly", by=None, now=now, expires_at=expires
    )
    action = Action(kind=ActionKind.CANCEL, reason="wrong")
    begin_bulk_action(action=action, search=Search(), by=operator_named("olga"), now=later - timedelta(minutes=5))

    assert texts(later, development_secret=True) == [
        "beta is silent: its agent has never asked, and 2 jobs wait",
        "alpha has been paused for 2 days, and 2 jobs wait",
        "The token “nightly” of alpha expires in 3 days",
        "A bulk action (cancel) has stalled at 0 %: 0 jobs changed, begun 5 minutes ago",
        "The development registration secret is in use: only this machine can register clusters",
    ]
