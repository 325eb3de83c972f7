"""Turns under many submissions, accepts and cancellations at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from clusters.services.turns import change_turns
from jobs.models import Job, Turn
from jobs.queries.queue import request_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from tests.conftest import Member
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db(transaction=True)

EACH, THREADS = 15, 4


def all_at_once(*work: Callable[[], Any]) -> None:
    def run(one: Callable[[], Any]) -> None:
        try:
            one()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as threads:
        # PostgreSQL ends one of two transactions that wait for each other, which raises here.
        list(threads.map(run, work))


@pytest.fixture
def fair(alpha: Member, now: datetime) -> Member:
    change_turns(cluster_id=alpha.cluster.id, fair=True, by=None, now=now)
    return alpha


def test_no_two_jobs_of_a_party_get_the_same_turn(fair: Member, now: datetime) -> None:
    def submit() -> None:
        for _ in range(EACH):
            submitted(fair, 2, now=now)

    all_at_once(*[submit] * THREADS)

    turns = Job.objects.values_list("turn", flat=True)
    assert sorted(turns) == [1_000 * place for place in range(1, 2 * EACH * THREADS + 1)]


def test_submissions_accepts_and_cancellations_wait_for_none_that_waits_for_them(fair: Member, now: datetime) -> None:
    def submit() -> None:
        for number in range(EACH):
            submitted(fair, 3, now=now, priority=number % 2)

    def accept() -> None:
        for _ in range(EACH):
            ids = [job.id for job in request_jobs(caller=fair.puller, limit=3, shared=True, now=now)]
            if ids:
                accept_jobs(caller=fair.puller, job_ids=ids, agent="agent-1", now=now)

    def cancel() -> None:
        for _ in range(EACH):
            if ids := list(Job.objects.filter(state="queued").order_by("-id").values_list("id", flat=True)[:3]):
                cancel_jobs(by=fair.submitter, job_ids=ids, now=now)

    submitted(fair, 30, now=now)

    all_at_once(submit, submit, accept, accept, cancel, cancel)

    (party,) = {turn.party for turn in Turn.objects.all() if not turn.party.startswith("queue ")}
    assert party == f"token {fair.submitter.credential_id}"
    assert not Job.objects.filter(turn__lte=0).exists()
