"""Most clusters fall silent at once: that is rather the network, unless somebody makes it look so."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.bounds import Bounds
from clusters.models import Cluster
from clusters.services.authenticate import note_visits
from jobs.leases import HOLD_AGAIN_AFTER, HOLD_AT_MOST
from jobs.models import Job, LeaseWatch
from jobs.queries.silence import SETTLED_AFTER
from jobs.services import mass_silence
from jobs.services.accept import accept_jobs
from jobs.services.expire import EVERY, OUTAGE, Expiry, expire_further, expire_leases
from jobs.states import JobState
from tests.conftest import registered
from tests.support.leases import LEASE, Watch, held, state_of, tell, watching
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def watch(db: None, now: datetime) -> Watch:
    return watching(now)


@pytest.fixture
def short_hold(monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """For whatever goes on through a whole hold: a server looks every few seconds."""
    hold = timedelta(minutes=10)
    monkeypatch.setattr(mass_silence, "HOLD_AT_MOST", hold)
    return hold


def fleet(number: int, *, now: datetime, age: timedelta = SETTLED_AFTER, prefix: str = "site") -> list[Any]:
    return [registered(f"{prefix}-{place}", now - age) for place in range(number)]


def hold_one_each(members: list[Any], *, now: datetime) -> list[int]:
    return [held(member, now=now) for member in members]


def still_held(ids: list[int]) -> int:
    return Job.objects.filter(id__in=ids, lease_expires_at__isnull=False).count()


# The network


def test_when_most_clusters_fall_silent_at_once_nothing_is_done_for_a_while(watch: Watch, now: datetime) -> None:
    members = fleet(5, now=now)
    ids = hold_one_each(members, now=now)
    watch.until(now + LEASE - EVERY)
    for place in (0, 1):
        tell(members[place], ids[place], JobState.RUNNING, now=watch.now)

    looked = watch.until(now + LEASE + EVERY)

    assert looked == Expiry(held_back=frozenset(member.cluster.id for member in members[2:]))
    assert LeaseWatch.objects.get().held_back_since == watch.now
    assert still_held(ids) == 5


def test_when_they_come_back_nothing_was_lost_and_the_rest_expires(watch: Watch, now: datetime) -> None:
    members = fleet(3, now=now)
    ids = hold_one_each(members, now=now)
    assert watch.until(now + LEASE + EVERY).held_back

    for place in (0, 1):
        tell(members[place], ids[place], JobState.RUNNING, now=watch.now)
    done = watch.until(watch.now + EVERY)

    assert done == Expiry(requeued=1)
    assert LeaseWatch.objects.get().held_back_since is None
    assert [state_of(job_id) for job_id in ids] == [("running", 1), ("running", 1), ("queued", 2)]


def test_after_a_whole_hold_they_are_taken_for_silent(watch: Watch, short_hold: timedelta, now: datetime) -> None:
    ids = hold_one_each(fleet(3, now=now), now=now)
    held_back_at = now + LEASE + EVERY

    waiting = watch.until(held_back_at + short_hold - EVERY)
    done = watch.until(held_back_at + short_hold)

    assert waiting.held_back
    assert done == Expiry(requeued=3)
    assert {state_of(job_id) for job_id in ids} == {("queued", 2)}
    assert LeaseWatch.objects.get().held_back_since is None


@pytest.mark.parametrize(("clusters", "silent"), [(1, 1), (2, 2), (4, 2), (6, 3), (9, 4)])
def test_few_silent_clusters_are_silent(watch: Watch, now: datetime, clusters: int, silent: int) -> None:
    members = fleet(clusters, now=now)
    ids = hold_one_each(members, now=now)
    watch.until(now + LEASE - EVERY)
    for place in range(silent, clusters):
        tell(members[place], ids[place], JobState.RUNNING, now=watch.now)

    assert watch.until(now + LEASE + EVERY) == Expiry(requeued=silent)


def test_a_network_that_comes_and_goes_is_borne_with_for_as_long(
    watch: Watch, short_hold: timedelta, now: datetime
) -> None:
    members = fleet(3, now=now)
    ids = hold_one_each(members, now=now)
    held_back_at = now + LEASE + EVERY
    while watch.now < held_back_at + short_hold - 3 * LEASE:
        assert watch.until(watch.now + LEASE + EVERY).held_back
        for member, job_id in zip(members, ids, strict=True):
            tell(member, job_id, JobState.ACCEPTED, now=watch.now)
        assert watch.until(watch.now + EVERY) == Expiry()

    done = watch.until(held_back_at + short_hold + LEASE + EVERY)

    assert done == Expiry(requeued=3)


# Clusters that make it look so


def test_one_cluster_counts_once_however_many_agents_it_says_that_it_has(
    alpha: Any, mallory: Any, watch: Watch, now: datetime
) -> None:
    """A secret and 40 names for agents used to keep every other cluster's jobs from being found lost."""
    Cluster.objects.update(registered_at=now - SETTLED_AFTER)
    job_id = held(alpha, now=now)
    for place in range(40):
        held(mallory, agent=f"agent-{place}", now=now)

    assert watch.until(now + LEASE + EVERY) == Expiry(requeued=41)
    assert state_of(job_id) == ("queued", 2)


def test_clusters_that_were_registered_for_it_do_not_count(watch: Watch, now: datetime) -> None:
    settled = fleet(4, now=now)
    ids = hold_one_each(settled, now=now)
    hold_one_each(fleet(40, now=now, age=SETTLED_AFTER - LEASE - 2 * EVERY, prefix="sybil"), now=now)
    watch.until(now + LEASE - EVERY)
    for place in range(1, 4):
        tell(settled[place], ids[place], JobState.RUNNING, now=watch.now)

    assert watch.until(now + LEASE + EVERY) == Expiry(requeued=41)
    assert state_of(ids[0]) == ("queued", 2)


def test_whatever_clusters_do_leases_run_on_for_one_hold_a_day(
    watch: Watch, short_hold: timedelta, now: datetime
) -> None:
    """Three of four are in it together: they take jobs under short leases and fall silent, again and again."""
    honest, *evil = fleet(4, now=now)

    found_late = [found_lost_after(honest, evil, watch, now + timedelta(hours=hours)) for hours in (0, 2, 9, 16, 22)]

    first, *others = found_late
    assert short_hold - LEASE < first <= short_hold
    assert others == [EVERY] * 4


def found_lost_after(honest: Any, evil: list[Any], watch: Watch, begin: datetime) -> timedelta:
    """How long after the end of its lease an honest cluster's job is found to be lost."""
    watch.now = begin
    expire_leases(now=begin)
    victim = held(honest, now=begin)
    for member in evil:
        (job_id,) = submitted(member, now=begin)
        accept_jobs(caller=member.puller, job_ids=[job_id], agent="a", lease_seconds=10, now=begin)
    while Job.objects.get(id=victim).state == JobState.ACCEPTED:
        watch.until(watch.now + EVERY)
    Job.objects.filter(state=JobState.QUEUED).update(state=JobState.CANCELLED, finished_at=watch.now)
    return watch.now - begin - LEASE


def test_the_next_hold_may_begin_a_day_after_the_first(watch: Watch, now: datetime) -> None:
    members = fleet(3, now=now)
    LeaseWatch.objects.update(hold_began_at=now - HOLD_AT_MOST)
    first = hold_one_each(members, now=now)

    assert watch.until(now + LEASE + EVERY) == Expiry(requeued=3)
    later = now - HOLD_AT_MOST + HOLD_AGAIN_AFTER
    expire_leases(now=later - EVERY)
    watch.now = later - EVERY
    second = hold_one_each(members, now=watch.now)

    assert watch.until(later + LEASE + EVERY).held_back
    assert (still_held(first), still_held(second)) == (0, 3)


def test_a_hold_of_a_clock_that_was_far_ahead_holds_nothing_for_long(
    watch: Watch, short_hold: timedelta, now: datetime
) -> None:
    LeaseWatch.objects.update(hold_began_at=now + timedelta(days=365))
    hold_one_each(fleet(3, now=now), now=now)
    held_back_at = now + LEASE + EVERY

    assert watch.until(held_back_at).held_back
    assert watch.until(held_back_at + short_hold) == Expiry(requeued=3)


def test_a_cluster_that_is_heard_is_not_held_back_with_the_others(watch: Watch, now: datetime) -> None:
    """One of its agents died; another asks for jobs, or reports: so the network is well."""
    asks, reports, *silent = fleet(6, now=now)
    hold_one_each([asks, reports, *silent], now=now)
    watch.until(now + LEASE + EVERY)
    note_visits(used=[], asked={asks.cluster.id: Bounds()}, now=watch.now)
    note_visits(used=[reports.puller.credential_id], asked={}, now=watch.now)

    done = watch.until(watch.now + EVERY)

    assert done == Expiry(requeued=2, held_back=frozenset(member.cluster.id for member in silent))


def test_a_token_that_is_used_does_not_speak_for_the_cluster(watch: Watch, now: datetime) -> None:
    members = fleet(3, now=now)
    hold_one_each(members, now=now)
    watch.until(now + LEASE + EVERY)
    note_visits(used=[member.submitter.credential_id for member in members], asked={}, now=watch.now)

    assert watch.until(watch.now + EVERY) == Expiry(held_back=frozenset(member.cluster.id for member in members))


# A server that is kept busy


def test_a_look_that_comes_late_on_a_busy_server_is_no_outage(alpha: Any, watch: Watch, now: datetime) -> None:
    """Callers can make a server busy: they must not so make every lease run anew."""
    job_id = held(alpha, now=now)
    watch.until(now + LEASE)
    late = watch.now + 3 * OUTAGE

    done = expire_leases(now=late, present_since=now)

    assert done == Expiry(requeued=1)
    assert state_of(job_id) == ("queued", 2)


@pytest.mark.parametrize("since", [OUTAGE, timedelta(seconds=1)])
def test_a_server_that_was_away_itself_tells_of_an_outage(
    alpha: Any, watch: Watch, now: datetime, since: timedelta
) -> None:
    job_id = held(alpha, now=now)
    watch.until(now + LEASE)
    late = watch.now + 3 * OUTAGE

    done = expire_leases(now=late, present_since=late - since)

    assert done == Expiry()
    assert state_of(job_id) == ("accepted", 1)


def test_many_leases_end_in_parts_and_each_is_a_look(alpha: Any, watch: Watch, now: datetime) -> None:
    ids = submitted(alpha, 1_203, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent="agent-1", lease_seconds=60, now=now)
    watch.until(now + LEASE)
    then = watch.now + EVERY

    first = expire_leases(now=then)
    assert first
    second = expire_further(first, now=then + timedelta(seconds=1))
    third = expire_further(second, now=then + timedelta(seconds=2))

    assert [(part.jobs, part.more) for part in (first, second, third)] == [(500, True), (500, True), (203, False)]
    assert LeaseWatch.objects.get().looked_at == then + timedelta(seconds=2)
