"""Several servers that look for empty queues at the same time, on PostgreSQL: on SQLite a writer is alone."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event

import pytest
from django.db import connection, transaction

from jobs.models import Queue
from jobs.services.cancel import cancel_jobs
from jobs.services.empty_queues import delete_empty_queues
from tests.conftest import Member
from tests.support.patience import PATIENCE_SECONDS
from tests.support.queue import submitted

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL; make test-postgresql runs it"),
]


def test_none_waits_for_a_queue_that_another_has_locked(alpha: Member, now: datetime) -> None:
    ids = [submitted(alpha, now=now, nodes=nodes)[0] for nodes in (1, 2, 4)]
    cancel_jobs(by=alpha.submitter, job_ids=ids, now=now)
    first, *others = Queue.objects.order_by("id").values_list("id", flat=True)
    locked, done = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            Queue.objects.filter(id=first).update(empty_since=None)
            locked.set()
            done.wait(PATIENCE_SECONDS)
        connection.close()

    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(hold)
        locked.wait(PATIENCE_SECONDS)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            delete_empty_queues(now=now)
        finally:
            done.set()
        held.result()
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")

    assert set(Queue.objects.filter(empty_since=now).values_list("id", flat=True)) == set(others)
