"""Clusters of one pool that give jobs back at the same time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from django.db import connection

from jobs.models import Job
from jobs.reports import Report, Return
from jobs.services.accept import accept_jobs
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.conftest import Member
from tests.support.pools import pool_of
from tests.support.queue import counted, recounted, submitted

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 20


def test_none_waits_for_one_that_waits_for_it(alpha: Member, beta: Member, mallory: Member, now: datetime) -> None:
    members = (mallory, beta, alpha)
    pool = pool_of("alpha", "beta", "mallory", now=now)
    # Of each kind one for each cluster: what is given back goes into a queue of its own.
    jobs = {
        member.name: [submitted(pool, now=now, nodes=2, needs=(f"!round{number}",))[0] for number in range(ROUNDS)]
        for member in members
    }
    for member in members:
        accept_jobs(caller=member.puller, job_ids=jobs[member.name], agent="login-1", now=now)

    def give_back(member: Member) -> None:
        try:
            for number, job_id in enumerate(jobs[member.name]):
                back = Report(job_id=job_id, attempt=1, state=JobState.ACCEPTED, returned=Return.NOT_STARTED)
                report_jobs(caller=member.puller, agent="login-1", reports=[back], not_ready=f"full {number}", now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as threads:
        # PostgreSQL ends one of two transactions that wait for each other, which raises here.
        list(threads.map(give_back, members))

    assert set(Job.objects.values_list("state", "attempt", "cluster__name")) == {(JobState.QUEUED, 2, pool.name)}
    assert counted() == recounted()
