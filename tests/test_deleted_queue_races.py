"""A queue in which nothing waits is deleted while it is found out anew which clusters serve it."""

from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from jobs.models import Queue, Serves
from jobs.services import empty_queues
from jobs.services.accept import accept_jobs
from jobs.services.serving import facts_changed, lock_with_pools
from tests.support.queue import submitted
from tests.support.turns import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("postgresql_only")]


@pytest.mark.parametrize("first", ["facts", "deletion"])
def test_facts_and_a_deletion_do_not_lock_one_another_out(alpha: Any, now: datetime, first: str) -> None:
    (job_id,) = submitted(alpha, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], now=now)
    queue_id = Queue.objects.get().id

    @transaction.atomic
    def facts() -> None:
        lock_with_pools([alpha.cluster.id])
        facts_changed(cluster_ids=[alpha.cluster.id])

    turns = {"facts": facts, "deletion": lambda: empty_queues._delete(queue_id)}
    second = next(name for name in turns if name != first)

    race(turns[first], turns[second])

    assert not Queue.objects.exists()
    assert not Serves.objects.exists()
