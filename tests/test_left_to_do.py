"""What a transaction leaves to be done is begun as soon as it is committed, without a poll."""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pytest
from django.db import DataError

from grpc_api.runtime import group_steps, queue_upkeep, releases
from grpc_api.runtime.due import hearing_of
from jobs.left_to_do import Work, listening, tell_of_work
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.cancel_group import cancel_group
from jobs.services.group_steps import due_groups, step_group
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.support.patience import PATIENCE_SECONDS
from tests.support.queue import submitted
from tests.test_groups import new_group

Committed = Callable[..., Any]


@contextmanager
def heard(work: Work) -> Iterator[set[int]]:
    told: set[int] = set()
    with listening(work, told.update):
        yield told


def _end(member: Any, job_id: int, now: datetime) -> None:
    report = Report(job_id=job_id, attempt=1, state=JobState.COMPLETED)
    report_jobs(caller=member.puller, agent="agent-1", reports=[report], now=now)


def _accept(member: Any, job_id: int, now: datetime) -> None:
    accept_jobs(caller=member.puller, job_ids=[job_id], agent="agent-1", now=now)


def test_new_members_and_their_ends_are_told_and_their_accepts_are_not(
    alpha: Any, now: datetime, django_capture_on_commit_callbacks: Committed
) -> None:
    with heard(Work.GROUPS) as told, django_capture_on_commit_callbacks(execute=True):
        group, (first, *_) = new_group(alpha.submitter, 3, now)
    assert told == {group}
    with heard(Work.GROUPS) as told, django_capture_on_commit_callbacks(execute=True):
        _accept(alpha, first, now)
    assert told == set()
    with heard(Work.GROUPS) as told, django_capture_on_commit_callbacks(execute=True):
        _end(alpha, first, now)
    assert told == {group}


def test_a_cancelled_group_is_told(alpha: Any, now: datetime, django_capture_on_commit_callbacks: Committed) -> None:
    group, _ = new_group(alpha.submitter, 1, now)

    with heard(Work.GROUPS) as told, django_capture_on_commit_callbacks(execute=True):
        cancel_group(by=alpha.submitter, group_id=group, now=now)

    assert told == {group}


def test_a_released_member_is_not_told_to_the_step_that_released_it(
    alpha: Any, now: datetime, django_capture_on_commit_callbacks: Committed
) -> None:
    group, _ = new_group(alpha.submitter, 3, now, at_once=1)

    with heard(Work.GROUPS) as told, django_capture_on_commit_callbacks(execute=True):
        step_group(group_id=group, now=now)

    assert told == set()


def test_jobs_that_ended_are_told(alpha: Any, now: datetime, django_capture_on_commit_callbacks: Committed) -> None:
    (job_id,) = submitted(alpha, now=now)
    _accept(alpha, job_id, now)

    with heard(Work.PARENTS) as told, django_capture_on_commit_callbacks(execute=True):
        _end(alpha, job_id, now)

    assert told == {job_id}


def test_of_some_groups_those_that_are_due_are_found_and_no_others(alpha: Any, now: datetime) -> None:
    first, second, third = (new_group(alpha.submitter, 2, now, at_once=1)[0] for _ in range(3))

    assert due_groups(among=[first, third], now=now) == [first, third]
    assert due_groups(among=[], now=now) == []
    assert due_groups(now=now) == [first, second, third]
    assert due_groups(besides=[first, third], now=now) == [second]
    assert due_groups(among=[first, third], besides=[first], now=now) == [third]


def test_what_another_thread_tells_ends_the_wait() -> None:
    async def scene() -> set[int]:
        with hearing_of(Work.GROUPS) as due:
            waiting = asyncio.create_task(due.wait(at_most=10 * PATIENCE_SECONDS))
            await asyncio.sleep(0)
            teller = threading.Thread(target=due.hear, args=([1, 2],))
            teller.start()
            await waiting
            teller.join()
            return due.take()

    assert asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS)) == {1, 2}


class Inline:
    """Threads of the database, without either."""

    async def read(self, work: Callable[[], Any]) -> Any:
        return work()

    write = read


def test_groups_are_stepped_without_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Collection[int] | None] = []
    monkeypatch.setattr(group_steps, "IDLE_EVERY_SECONDS", 10 * PATIENCE_SECONDS)
    monkeypatch.setattr(group_steps, "groups_are_going", lambda: False)
    monkeypatch.setattr(group_steps, "due_groups", lambda *, among, **_: asked.append(among) or list(among))

    async def scene() -> int:
        stepped = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(group_steps, "step_group", lambda *, group_id, now: stepped.set_result(group_id))
        task = asyncio.create_task(group_steps.step_groups_forever(Inline()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        tell_of_work(Work.GROUPS, [7])
        group_id = await stepped
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return int(group_id)

    assert asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS)) == 7
    assert asked == [{7}]


def test_a_large_group_holds_up_no_other_and_others_join_it(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {1: 4, 2: 1, 3: 2}
    stepped: list[int] = []
    monkeypatch.setattr(group_steps, "JOIN_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(group_steps, "REST_TIMES", 0)
    monkeypatch.setattr(group_steps, "groups_are_going", lambda: True)
    # One look finds one.
    monkeypatch.setattr(
        group_steps, "due_groups", lambda *, besides=(), **_: [id for id in left if left[id] and id not in besides][:1]
    )

    async def scene() -> None:
        done = asyncio.Event()

        def step(*, group_id: int, now: datetime) -> bool:
            stepped.append(group_id)
            left[group_id] -= 1
            if not any(left.values()):
                done.set()
            return left[group_id] > 0

        monkeypatch.setattr(group_steps, "step_group", step)
        task = asyncio.create_task(group_steps.step_groups_forever(Inline()))  # type: ignore[arg-type]
        await done.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))

    assert stepped == [1, 1, 2, 1, 3, 1, 3]


def test_a_group_that_becomes_due_joins_before_all_others_had_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    stepped: list[int] = []
    monkeypatch.setattr(group_steps, "JOIN_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(group_steps, "REST_TIMES", 0)
    found = iter([[1, 2, 3], [4]])
    monkeypatch.setattr(group_steps, "due_groups", lambda **_: next(found, []))

    def step(*, group_id: int, now: datetime) -> bool:
        stepped.append(group_id)
        return stepped.count(group_id) < 2

    monkeypatch.setattr(group_steps, "step_group", step)

    asyncio.run(group_steps._step_those_due(Inline()))  # type: ignore[arg-type]

    assert stepped == [1, 2, 3, 1, 4, 2, 3, 4]


def test_a_group_whose_step_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    left = {1: 1, 2: 3, 3: 1}
    monkeypatch.setattr(group_steps, "due_groups", lambda **_: list(left))

    def step(*, group_id: int, now: datetime) -> bool:
        if group_id == 1:
            raise DataError("a bad one")
        left[group_id] -= 1
        return left[group_id] > 0

    monkeypatch.setattr(group_steps, "step_group", step)

    with pytest.raises(DataError):
        asyncio.run(group_steps._step_those_due(Inline()))  # type: ignore[arg-type]

    assert left == {1: 1, 2: 0, 3: 0}


def test_a_walk_over_the_queues_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def fail(**_: Any) -> None:
        raise DataError("a bad one")

    monkeypatch.setattr(queue_upkeep, "waits_for_a_queue", lambda: False)
    monkeypatch.setattr(queue_upkeep, "expired_jobs", fail)
    monkeypatch.setattr(queue_upkeep, "by_both_clocks", lambda now: now)
    for walk in ("retries", "withdrawals"):
        monkeypatch.setattr(queue_upkeep, f"{walk}_are_due", lambda **_: True)
    monkeypatch.setattr(queue_upkeep, "queue_due_retries", lambda **_: steps.append("retries") or 1)  # type: ignore[func-returns-value]
    monkeypatch.setattr(queue_upkeep, "settle_withdrawal", lambda **_: steps.append("withdrawals") or 1)  # type: ignore[func-returns-value]

    pause = asyncio.run(queue_upkeep._step_each(Inline()))  # type: ignore[arg-type]

    assert steps == ["retries", "withdrawals"]
    assert pause.total_seconds() > 0


def test_a_long_walk_over_the_queues_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    async def scene() -> None:
        done = asyncio.Event()

        def walk(name: str, most: int) -> Callable[..., int]:
            def step(**_: Any) -> int:
                steps.append(name)
                if len(steps) == 6:
                    done.set()
                return 1

            monkeypatch.setattr(queue_upkeep, f"{name}_are_due", lambda **_: steps.count(name) < most)
            return step

        for idle in ("waits_for_a_queue", "some_may_try_again"):
            monkeypatch.setattr(queue_upkeep, idle, lambda: False)
        for idle in ("expired_jobs", "old_wishes_exist", "left_relays_exist", "delete_empty_queues"):
            monkeypatch.setattr(queue_upkeep, idle, lambda **_: False)
        monkeypatch.setattr(queue_upkeep, "forget_withdrawals", lambda **_: None)
        monkeypatch.setattr(queue_upkeep, "by_both_clocks", lambda now: now)
        monkeypatch.setattr(queue_upkeep, "queue_due_retries", walk("retries", 4))
        monkeypatch.setattr(queue_upkeep, "settle_withdrawal", walk("withdrawals", 2))
        task = asyncio.create_task(queue_upkeep.keep_queues_forever(Inline()))  # type: ignore[arg-type]
        await done.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))

    assert steps == ["retries", "withdrawals"] * 2 + ["retries"] * 2


def test_jobs_that_wait_for_others_are_settled_without_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "_EVERY_SECONDS", 10 * PATIENCE_SECONDS)
    monkeypatch.setattr(releases, "look_for_missed_ends", lambda: 0)

    async def scene() -> None:
        looked = asyncio.Semaphore(0)
        monkeypatch.setattr(releases, "some_have_ended", looked.release)
        task = asyncio.create_task(releases.release_forever(Inline()))  # type: ignore[arg-type]
        await looked.acquire()
        tell_of_work(Work.PARENTS, [7])
        await looked.acquire()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))
