"""Jobs of a pool that no cluster can run any more: said at once, ended only by a refusal of the last."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.facts import Facts, Partition
from jobs.models import Job
from jobs.queries.explain import Explanation, explain_wait
from jobs.queries.fleet_health import Concern, ConcernKind, concerns
from jobs.queries.queue import request_jobs
from jobs.reports import Report, Return
from jobs.services.accept import accept_jobs
from jobs.services.give_back import some_may_try_again, try_again
from jobs.services.pools import Member, change_pool
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", "beta", now=now)


def give_back(member: Any, job_id: int, why: Return, now: datetime) -> None:
    (taken,) = accept_jobs(caller=member.puller, job_ids=[job_id], agent="a", now=now).accepted
    state = JobState.FAILED if why == Return.REFUSED else JobState.CANCELLED
    report = Report(job_id=job_id, attempt=taken.attempt, state=state, reason=f"{member.name} says no", returned=why)
    report_jobs(caller=member.puller, agent="a", reports=[report], now=now)


def leave_only(name: str, pool: Pool, now: datetime) -> None:
    change_pool(pool_id=pool.cluster.id, members=[Member(cluster=name)], by=None, now=now)


def waits(job_id: int, now: datetime) -> Explanation:
    wait = explain_wait(job=Job.objects.get(id=job_id), now=now)
    assert wait
    return wait


def offered(member: Any, now: datetime) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, shared=True, now=now)]


def unserved(now: datetime) -> list[Concern]:
    found = concerns(fleet=[], development_secret=False, debug=False, now=now)
    return [one for one in found if one.kind == ConcernKind.UNSERVED]


def test_a_job_that_all_that_are_left_refused_says_so_and_waits(
    pool: Pool, alpha: Any, beta: Any, now: datetime
) -> None:
    (job_id,) = submitted(pool, now=now)
    give_back(alpha, job_id, Return.REFUSED, now)
    assert unserved(now) == []

    leave_only("alpha", pool, now)

    wait = waits(job_id, now)
    assert wait.found == "no cluster can take it until the pool or its clusters' facts change: 1 may not"
    assert [one.text for one in wait.prospects] == ["refused it: alpha says no"]
    assert [(one.about, one.text) for one in unserved(now)] == [
        (pool.cluster.id, "1 job of big waits, and no cluster of the pool can run it as it is")
    ]
    assert Job.objects.get(id=job_id).state == JobState.QUEUED


def test_jobs_that_a_cluster_cannot_run_since_it_has_less_are_a_concern(alpha: Any, now: datetime) -> None:
    submitted(alpha, 2, now=now, nodes=16)
    facts = Facts(partitions=(Partition(name="batch", nodes=4),))

    report_jobs(caller=alpha.puller, agent="a", reports=[], facts=facts, now=now)

    assert [one.text for one in unserved(now)] == ["2 jobs of alpha wait, and it cannot run them as it is"]


def test_a_cluster_that_was_too_late_gets_the_job_again_when_no_other_is_left(
    pool: Pool, alpha: Any, beta: Any, now: datetime
) -> None:
    late, refused = submitted(pool, 2, now=now)
    give_back(alpha, late, Return.NOT_STARTED, now)
    give_back(alpha, refused, Return.REFUSED, now)
    assert not some_may_try_again()

    leave_only("alpha", pool, now)

    assert offered(alpha, now) == []
    assert some_may_try_again()
    assert try_again(now=now + MINUTE) == 1
    assert offered(alpha, now + MINUTE) == [late]
    assert not some_may_try_again()
    assert unserved(now)[0].text.startswith("1 job of big")
