"""Clusters of one pool tell what they have at the same time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from django.db import connection

from clusters.facts import Facts
from clusters.models import Cluster
from clusters.services.facts import CHANGE_EVERY
from jobs.models import Serves
from jobs.services.report import report_jobs
from tests.conftest import Member
from tests.support.pools import pool_of
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 20


def test_none_waits_for_one_that_waits_for_it(alpha: Member, beta: Member, mallory: Member, now: datetime) -> None:
    pool = pool_of("alpha", "beta", "mallory", now=now)
    submitted(pool, now=now)

    def tell(member: Member) -> None:
        try:
            for number in range(ROUNDS):
                facts = Facts(values={"round": number})
                at = now + number * CHANGE_EVERY
                report_jobs(caller=member.puller, agent="login-1", reports=[], facts=facts, now=at)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        # PostgreSQL ends one of two transactions that wait for each other, which raises here.
        list(threads.map(tell, (mallory, beta, alpha)))

    told = [Cluster.objects.get(id=member.cluster.id).facts for member in (alpha, beta, mallory)]
    assert told == [{"values": {"round": ROUNDS - 1}}] * 3
    assert Serves.objects.filter(queue__cluster=pool.cluster).count() == 3
