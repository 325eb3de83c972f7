"""Operators let jobs wait shorter or longer, or let another cluster run them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.callers import Operator
from jobs.models import Job, JobCount, JobEvent
from jobs.outcomes import CancelOutcome
from jobs.queries.lookup import get_jobs
from jobs.queries.news import news_since
from jobs.queries.queue import request_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from rainbow.errors import InvalidArgument, NotFound
from tests.support.queue import counted, operator_named, recounted, submitted


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


def waiting(member: Any) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, now=datetime.now(UTC))]


def test_a_higher_priority_goes_first(alpha: Any, olga: Operator, now: datetime) -> None:
    first, second = submitted(alpha, 2, now=now)

    verdicts = change_priority(by=olga, job_ids=[second], priority=50, reason="demo at noon", now=now)

    assert [verdict.refusal for verdict in verdicts] == [""]
    assert waiting(alpha) == [second, first]
    assert counted() == recounted()
    event = JobEvent.objects.filter(job_id=second).latest("id")
    assert (event.what, event.why, event.operator_id) == (
        "priority_changed",
        "from 0 to 50: demo at noon",
        olga.user_id,
    )


def test_a_job_that_does_not_wait_keeps_its_priority(alpha: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], now=now)

    verdicts = change_priority(by=olga, job_ids=[*ids, 10**6], priority=9, reason="urgent", now=now)

    assert [verdict.refusal for verdict in verdicts] == [
        "the job is accepted; only waiting jobs have a use for a priority",
        "",
        "there is no such job",
    ]
    assert counted() == recounted()


@pytest.mark.parametrize("priority", [-101, 101])
def test_a_priority_out_of_range_is_refused(alpha: Any, olga: Operator, now: datetime, priority: int) -> None:
    ids = submitted(alpha, now=now)

    with pytest.raises(InvalidArgument, match="priority"):
        change_priority(by=olga, job_ids=ids, priority=priority, reason="why not", now=now)


def test_a_moved_job_waits_at_the_other_cluster(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now, priority=7)

    verdicts = move_jobs(by=olga, job_ids=ids[:2], cluster_id=beta.cluster.id, reason="alpha is full", now=now)

    assert [verdict.refusal for verdict in verdicts] == ["", ""]
    assert (waiting(alpha), waiting(beta)) == (ids[2:], ids[:2])
    assert counted() == recounted()
    event = JobEvent.objects.filter(job_id=ids[0]).latest("id")
    assert (event.what, event.why) == ("moved", "from alpha to beta: alpha is full")


def test_the_submitter_goes_on_seeing_a_moved_job(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, now=now)

    move_jobs(by=olga, job_ids=ids, cluster_id=beta.cluster.id, reason="alpha is full", now=now)

    assert list(get_jobs(by=alpha.submitter, job_ids=ids)) == ids
    assert list(get_jobs(by=beta.puller, job_ids=ids)) == ids
    assert not get_jobs(by=alpha.puller, job_ids=ids)
    assert not get_jobs(by=beta.submitter, job_ids=ids)
    assert cancel_jobs(by=alpha.submitter, job_ids=ids, now=now)[0].outcome == CancelOutcome.CANCELLED


def test_repeating_a_submission_finds_the_moved_job(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, now=now, idempotency_key="tuesday")
    move_jobs(by=olga, job_ids=ids, cluster_id=beta.cluster.id, reason="alpha is full", now=now)

    assert submitted(alpha, now=now, idempotency_key="tuesday") == ids
    assert Job.objects.count() == 1


def test_the_same_key_may_stand_at_both_clusters(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    there = submitted(beta, now=now, idempotency_key="tuesday")
    ids = submitted(alpha, now=now, idempotency_key="tuesday")

    move_jobs(by=olga, job_ids=ids, cluster_id=beta.cluster.id, reason="alpha is full", now=now)

    assert submitted(beta, now=now, idempotency_key="tuesday") == there
    assert sorted(waiting(beta)) == there + ids


def test_only_waiting_jobs_move(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], now=now)

    verdicts = move_jobs(by=olga, job_ids=ids, cluster_id=alpha.cluster.id, reason="hm", now=now)

    assert [verdict.refusal for verdict in verdicts] == [
        "the job is accepted; only waiting jobs can be moved",
        "the job is there already",
    ]
    with pytest.raises(NotFound):
        move_jobs(by=olga, job_ids=ids, cluster_id=0, reason="hm", now=now)


def test_moving_wakes_whoever_waits_at_the_other_cluster(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, now=now)
    before = news_since(after=None)

    move_jobs(by=olga, job_ids=ids, cluster_id=beta.cluster.id, reason="alpha is full", now=now)

    assert news_since(after=before).clusters == {"beta"}


def counts_written(work: Callable[[], object]) -> int:
    """How many statements add to the counts. Two of them would lock rows out of their order, and could deadlock."""
    with CaptureQueriesContext(connection) as queries:
        work()
    # On PostgreSQL one of several that go there together.
    return sum(query["sql"].count(f"INSERT INTO {JobCount._meta.db_table} ") for query in queries)


def test_jobs_of_several_priorities_are_counted_in_one_statement(alpha: Any, olga: Operator, now: datetime) -> None:
    ids = [job_id for priority in (1, 5, 9) for job_id in submitted(alpha, now=now, priority=priority)]

    assert counts_written(lambda: change_priority(by=olga, job_ids=ids, priority=5, reason="why not", now=now)) == 1

    assert counted() == recounted()
    events = JobEvent.objects.filter(what="priority_changed").order_by("job_id")
    assert [event.why for event in events] == ["from 1 to 5: why not", "from 9 to 5: why not"]


def test_jobs_of_several_clusters_are_counted_in_one_statement(
    alpha: Any, beta: Any, mallory: Any, olga: Operator, now: datetime
) -> None:
    ids = [job_id for member in (alpha, mallory) for job_id in submitted(member, now=now)]
    target = beta.cluster.id

    assert counts_written(lambda: move_jobs(by=olga, job_ids=ids, cluster_id=target, reason="full", now=now)) == 1

    assert counted() == recounted()
    events = JobEvent.objects.filter(what="moved").order_by("job_id")
    assert [event.why for event in events] == ["from alpha to beta: full", "from mallory to beta: full"]
