"""Servers delete old records by themselves, one server at a time."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from django.contrib.sessions.models import Session

from grpc_api.runtime import retention
from grpc_api.runtime.retention import Turn, prune_forever
from grpc_api.runtime.thread_pools import ThreadPools
from jobs.models import Job, JobActivity, JobEvent, JobLabel, RetentionLease
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.retention import EVERY, HELD_FOR, end_turn, is_due, put_off, renew_turn, retention_steps, take_turn
from jobs.sql.inserts import activity_totals_added
from jobs.sql.statements import run_in_order
from jobs.states import Span
from rainbow.client import Client
from rainbow.records import JobSpec
from tests.support.lives import handed_over
from tests.support.patience import wait_until
from tests.support.queue import counted, recounted, submitted
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer

SECOND = timedelta(seconds=1)
# Rows in a step.
BATCH = 200


def cancelled(member: Any, number: int, *, now: datetime) -> list[int]:
    ids = submitted(member, number, now=now, labels={"a": "b"})
    cancel_jobs(by=member.submitter, job_ids=ids, now=now)
    return ids


def run_steps(*, days: int, now: datetime, at_most: int = 1_000) -> list[int]:
    """What each step deleted."""
    deleted = []
    for step in retention_steps(days=days, now=now):
        while len(deleted) < at_most and (rows := step.work()):
            deleted.append(rows)
    return deleted


def test_one_server_at_a_time_prunes(db: None, now: datetime) -> None:
    assert is_due(now=now)
    assert take_turn(holder="first", now=now)

    assert not is_due(now=now)
    assert not take_turn(holder="second", now=now + HELD_FOR - SECOND)


def test_a_server_that_renews_its_turn_keeps_it(db: None, now: datetime) -> None:
    take_turn(holder="first", now=now)

    assert renew_turn(holder="first", now=now + HELD_FOR - SECOND)

    assert not take_turn(holder="second", now=now + HELD_FOR + SECOND)


def test_another_server_goes_on_when_the_first_died(db: None, now: datetime) -> None:
    take_turn(holder="first", now=now)

    assert take_turn(holder="second", now=now + HELD_FOR)

    assert not renew_turn(holder="first", now=now + HELD_FOR)


def test_a_turn_is_due_an_hour_after_the_last(db: None, now: datetime) -> None:
    take_turn(holder="first", now=now)
    end_turn(holder="first", now=now)

    assert not is_due(now=now + EVERY - SECOND)
    assert not take_turn(holder="second", now=now + EVERY - SECOND)
    assert is_due(now=now + EVERY)
    assert take_turn(holder="second", now=now + EVERY)


def test_a_server_that_lost_its_turn_does_not_end_that_of_another(db: None, now: datetime) -> None:
    take_turn(holder="first", now=now)
    take_turn(holder="second", now=now + HELD_FOR)

    end_turn(holder="first", now=now + HELD_FOR)

    assert renew_turn(holder="second", now=now + HELD_FOR)


@pytest.mark.parametrize("ended", [False, True])
def test_a_wrong_clock_does_not_end_pruning(db: None, now: datetime, ended: bool) -> None:
    tomorrow = now + timedelta(days=1)
    take_turn(holder="first", now=tomorrow)
    if ended:
        end_turn(holder="first", now=tomorrow)

    assert take_turn(holder="second", now=now)


def test_what_is_older_than_the_retention_goes_and_the_rest_stays(alpha: Any, now: datetime) -> None:
    cancelled(alpha, 3, now=now - timedelta(days=91))
    handed_over(alpha, now=now - timedelta(days=91))
    young = [*cancelled(alpha, 2, now=now - timedelta(days=89)), handed_over(alpha, now=now - timedelta(days=89))]
    (waiting,) = submitted(alpha, now=now - timedelta(days=400))
    (held,) = submitted(alpha, now=now - timedelta(days=400))
    accept_jobs(caller=alpha.puller, job_ids=[held], agent="agent-1", now=now - timedelta(days=400))

    run_steps(days=90, now=now)

    left = {*young, waiting, held}
    assert set(Job.objects.values_list("id", flat=True)) == left
    assert set(JobEvent.objects.values_list("job_id", flat=True)) == left
    assert set(JobLabel.objects.values_list("job_id", flat=True)) == set(young[:2])
    assert counted() == recounted()


def test_a_step_deletes_a_few_hundred_and_the_next_server_goes_on(alpha: Any, now: datetime) -> None:
    cancelled(alpha, 1_000, now=now - timedelta(days=91))

    deleted = run_steps(days=90, now=now, at_most=2)

    assert deleted == [200, 200]
    assert counted() == recounted() == {("alpha", "cancelled", 0): 600}
    assert sum(run_steps(days=90, now=now)) >= 600
    assert not Job.objects.exists()


def test_activity_and_sessions_go_as_well(alpha: Any, now: datetime) -> None:
    kept = now - timedelta(days=1)
    for at in (kept, now - timedelta(days=3)):
        run_in_order(activity_totals_added({(Span.FIVE_MINUTES, at, alpha.cluster.id, "failed"): 1}))
    over = now - timedelta(hours=1)
    for slot in (1, 2):
        run_in_order(activity_totals_added({(Span.FIVE_MINUTES, over, alpha.cluster.id, "failed"): 1}, slot=slot))
    for key, at in (("over", now - SECOND), ("going-on", now + SECOND)):
        Session.objects.create(session_key=key, expire_date=at)

    run_steps(days=90, now=now)

    rows = JobActivity.objects.order_by("began_at").values_list("began_at", "slot", "jobs")
    assert list(rows) == [(kept, 0, 1), (over, 0, 2)]
    assert [session.session_key for session in Session.objects.all()] == ["going-on"]


def test_a_second_turn_has_nothing_to_delete(alpha: Any, now: datetime) -> None:
    cancelled(alpha, 10, now=now - timedelta(days=91))
    run_steps(days=90, now=now)

    assert run_steps(days=90, now=now) == []


def test_a_retention_of_no_days_deletes_nothing(db: None) -> None:
    pools = ThreadPools()

    asyncio.run(asyncio.wait_for(prune_forever(pools, days=0), timeout=60))

    assert pools.close()


class Inline:
    """In place of ThreadPools: works in the test's transaction, and calls `after` when work has deleted something."""

    def __init__(self, after: Callable[[], object] = lambda: None) -> None:
        self._after = after

    async def write(self, work: Callable[[], Any]) -> Any:
        result = work()
        if result == BATCH:
            self._after()
        return result


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Inline], None]:
    """Runs a turn that never waits: an event loop would have another connection than the test."""

    async def at_once(seconds: float) -> None:
        pass

    def work(pools: Inline) -> None:
        with pytest.raises(StopIteration):
            Turn(cast(ThreadPools, pools), days=1).run().send(None)

    monkeypatch.setattr(retention.asyncio, "sleep", at_once)
    return work


def test_a_turn_deletes_all_that_is_old_and_gives_back_its_lease(alpha: Any, run: Callable[[Inline], None]) -> None:
    cancelled(alpha, 450, now=datetime.now(UTC) - timedelta(days=2))

    run(Inline())

    assert not Job.objects.exists()
    lease = RetentionLease.objects.get()
    assert (lease.holder, lease.held_until) == ("", None)
    assert not is_due(now=datetime.now(UTC))


def test_a_turn_ends_when_another_server_has_taken_over(
    alpha: Any, run: Callable[[Inline], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_RENEW_EVERY", timedelta(0))
    cancelled(alpha, 450, now=datetime.now(UTC) - timedelta(days=2))

    run(Inline(after=lambda: RetentionLease.objects.update(holder="another")))

    assert Job.objects.count() == 450 - BATCH
    assert RetentionLease.objects.get().holder == "another"
    assert RetentionLease.objects.get().finished_at is None


def test_a_server_without_the_turn_deletes_nothing(alpha: Any, run: Callable[[Inline], None]) -> None:
    cancelled(alpha, 5, now=datetime.now(UTC) - timedelta(days=2))
    take_turn(holder="another", now=datetime.now(UTC))

    run(Inline())

    assert Job.objects.count() == 5


def test_a_clock_that_jumps_ahead_has_an_hour_to_be_set_right_before_anything_is_deleted(
    alpha: Any, run: Callable[[Inline], None], caplog: pytest.LogCaptureFixture
) -> None:
    cancelled(alpha, 5, now=datetime.now(UTC) - timedelta(days=2))
    before_the_jump = datetime.now(UTC) - timedelta(days=400)
    take_turn(holder="first", now=before_the_jump)
    end_turn(holder="first", now=before_the_jump)

    run(Inline())

    assert Job.objects.count() == 5
    assert "unless the clock is wrong" in caplog.text
    assert not is_due(now=datetime.now(UTC))
    # Set right: the next turn is not for the year after next.
    assert is_due(now=before_the_jump + EVERY)

    RetentionLease.objects.update(finished_at=datetime.now(UTC) - EVERY)
    run(Inline())

    assert not Job.objects.exists()


def test_of_two_servers_one_with_a_wrong_clock_the_other_goes_on_pruning(db: None, now: datetime) -> None:
    take_turn(holder="right", now=now)
    end_turn(holder="right", now=now)
    next_year = now + timedelta(days=365)

    for hours in range(1, 4):
        at = timedelta(hours=hours)
        assert put_off(now=next_year + at)
        assert not put_off(now=now + at)
        assert take_turn(holder="right", now=now + at)
        end_turn(holder="right", now=now + at)


def test_a_running_server_prunes_and_says_so(start_server: Any) -> None:
    keeps = start_server(environment={"RAINBOW_RETENTION_DAYS": "0"})
    _cancel_jobs(keeps, 450)
    execute(keeps.database_url, "UPDATE jobs_job SET finished_at = %s WHERE id > 5", [datetime(2020, 1, 1, tzinfo=UTC)])
    keeps.stop()

    prunes = start_server(database_url=keeps.database_url, environment={"RAINBOW_RETENTION_DAYS": "1"})

    wait_until(lambda: "pruned " in prunes.log.read_text())
    assert re.search(r" pruned (activity=\d+ )?jobs=445 ", prunes.log.read_text())
    assert count(prunes.database_url, "jobs_job", "jobs_jobevent") == (5, 10)
    assert "pruned" not in keeps.log.read_text()


def _cancel_jobs(server: RainbowServer, number: int) -> None:
    with Client(server.address) as stranger:
        new = stranger.register("keebler", registration_secret=server.registration_secret)
    with Client(server.address, cluster="keebler", token=new.token) as submitter:
        results = submitter.submit_jobs([JobSpec(command="hostname")] * number)
        submitter.cancel_jobs([result.jobid for result in results.results])
