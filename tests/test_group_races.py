"""Servers that step one group at once, while its members move: never more than its limit are under way."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from threading import Event
from typing import Any

import pytest
from django.db import connection

from jobs.models import Job
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.cancel_group import cancel_group
from jobs.services.group_steps import due_groups, step_group
from jobs.sql import inserts, usage
from jobs.states import JobState
from rainbow.errors import FailedPrecondition
from tests.support.queue import counted, recounted
from tests.test_group_limits import settle, under_way
from tests.test_groups import agreed, found, new_group, report, submitted

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 5


@pytest.fixture(autouse=True)
def counts_of_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    for writers in (inserts, usage):
        monkeypatch.setattr(writers, "slot", lambda: 0)


def test_servers_and_agents_at_once_keep_the_limit(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 40, now, at_once=MOST, more=True)
    over, seen = Event(), list[int]()

    def serve() -> None:
        while not over.is_set():
            for one in due_groups(now=now):
                step_group(group_id=one, now=now)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while not over.is_set():
            if not (
                queued := list(Job.objects.filter(group=group, state=JobState.QUEUED).values_list("id", flat=True))
            ):
                continue
            mine = chance.sample(queued, min(2, len(queued)))
            accept_jobs(caller=alpha.puller, job_ids=mine, agent=f"a{seed}", now=now)
            end = chance.choice([JobState.COMPLETED, JobState.FAILED])
            report(alpha.puller, mine, end, now)
            if chance.random() < 0.1:
                cancel_jobs(by=alpha.submitter, job_ids=[chance.choice(ids)], now=now)

    def look() -> None:
        while not over.is_set():
            seen.append(len(under_way(group)))
            if not Job.objects.filter(group=group, finished_at__isnull=True).exists():
                over.set()

    def add() -> None:
        for first in range(40, 70, 10):
            submitted(alpha.submitter, 10, now, first=first, group_id=group, more=first < 60)

    with ThreadPoolExecutor(6) as crowd:
        running = [
            crowd.submit(_closing(one), *args)
            for one, *args in ((serve,), (serve,), (work, 1), (work, 2), (add,), (look,))
        ]
        for future in running:
            future.result(timeout=200)
    settle(now)

    one = found(alpha.submitter, group)
    assert max(seen) <= MOST
    assert (one.members, one.finished_at) == (70, now)
    assert counted() == recounted()
    assert agreed()


def test_a_group_that_is_cancelled_while_its_members_move_comes_to_its_end(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 30, now, at_once=MOST)
    settle(now)

    def cancel() -> None:
        with suppress(FailedPrecondition):
            cancel_group(by=alpha.submitter, group_id=group, now=now)
        settle(now)

    def work() -> None:
        for job_id in ids:
            accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="a", now=now)
            report(alpha.puller, [job_id], JobState.COMPLETED, now)

    with ThreadPoolExecutor(3) as crowd:
        for future in [crowd.submit(_closing(one)) for one in (work, cancel, cancel)]:
            future.result(timeout=200)
    report(alpha.puller, under_way(group), JobState.CANCELLED, now)
    settle(now)

    assert found(alpha.submitter, group).finished_at == now
    assert counted() == recounted()


def _closing(work: Any) -> Any:
    def run(*args: Any) -> None:
        try:
            work(*args)
        finally:
            connection.close()

    return run
