"""Waiting jobs in queues by what they need: a request reads those that fit, in the order of all."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.bounds import Bounds
from clusters.models import CredentialKind, Streak
from clusters.services.credentials import create_credential
from jobs.models import Job, Queue, Serves
from jobs.placement import class_of
from jobs.queries.queue import request_jobs, waits_for_a_queue
from jobs.services import empty_queues, placing
from jobs.services.accept import accept_jobs
from jobs.services.empty_queues import delete_empty_queues
from jobs.services.placing import place_waiting_jobs
from jobs.specs import MAX_INT
from jobs.states import JobState
from tests.support.queue import submitted

pytestmark = pytest.mark.usefixtures("limits_are_known")

DAY = timedelta(days=1)


def offered(member: Any, now: datetime, limit: int = 0, **bounds: Any) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, bounds=Bounds(**bounds), limit=limit, now=now)]


def statements(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


def test_the_classes_of_sizes_follow_each_other_without_a_gap() -> None:
    least = 0
    while least <= MAX_INT:
        bounds = class_of(least)
        assert bounds.least == least
        assert class_of(bounds.most) == bounds
        least = bounds.most + 1


def test_requests_with_any_bounds_are_offered_what_fits_in_the_order_of_all(alpha: Any, now: datetime) -> None:
    random = Random(12)
    for _ in range(120):
        submitted(
            alpha, now=now, nodes=random.choice([1, 2, 3, 5, 8, 12, 16]), tasks=random.choice([0, 1, 6, 7]),
            time_limit_seconds=random.choice([0, 60, 3_600]), priority=random.choice([-3, 0, 9]),
        )  # fmt: skip
    assert Queue.objects.count() > 20

    for _ in range(60):
        bounds = {
            "max_nodes": random.choice([0, 1, 4, 12]),
            "max_tasks": random.choice([0, 1, 6]),
            "max_time_limit_seconds": random.choice([0, 100]),
        }
        limit = random.choice([0, 1, 10, 60])
        within = {f"{name.removeprefix('max_')}__lte": most for name, most in bounds.items() if most}
        expected = list(Job.objects.filter(**within).order_by("-priority", "id").values_list("id", flat=True))

        assert offered(alpha, now, limit, **bounds) == (expected[:limit] if limit else expected)


def test_a_small_job_behind_large_ones_costs_the_same_however_many_they_are(alpha: Any, now: datetime) -> None:
    few = submitted(alpha, 10, now=now, nodes=16)
    (small,) = submitted(alpha, now=now)
    cost = statements(lambda: offered(alpha, now, 10, max_nodes=1))

    submitted(alpha, 2_000, now=now, nodes=16, priority=5)

    assert offered(alpha, now, 10, max_nodes=1) == [small]
    assert statements(lambda: offered(alpha, now, 10, max_nodes=1)) == cost
    assert offered(alpha, now, max_nodes=16)[-len(few) - 1 :] == [*few, small]


def test_jobs_of_more_cores_than_asked_for_hide_none_behind_them(alpha: Any, now: datetime) -> None:
    submitted(alpha, 3_000, now=now, cores_per_task=64)
    small = [
        submitted(alpha, now=now, **said)[0] for said in ({"cores_per_task": 8}, {"nodes": 2, "cores_per_task": 4})
    ]
    few = [*submitted(alpha, now=now, tasks=8), *submitted(alpha, now=now)]

    bounds = Bounds(max_tasks=8, max_cores=8)
    found = request_jobs(caller=alpha.puller, bounds=bounds, shared=True, limit=10, now=now)

    assert [job.id for job in found] == [*small, *few]


def test_a_cluster_that_serves_one_queue_is_asked_in_one_statement_while_it_is_the_only_one(
    alpha: Any, now: datetime
) -> None:
    first = submitted(alpha, 3, now=now)
    offered(alpha, now, 10)

    assert statements(lambda: offered(alpha, now, 10)) == 1
    assert offered(alpha, now, 2) == first[:2]

    (another,) = submitted(alpha, now=now, nodes=4, priority=1)
    assert offered(alpha, now, 10) == [another, *first]

    Job.objects.filter(id=another).delete()
    Queue.objects.filter(least_nodes=3).delete()
    offered(alpha, now, 10)
    assert statements(lambda: offered(alpha, now, 10)) == 1

    Streak.objects.create(
        cluster=alpha.cluster, credential_id=alpha.submitter.credential_id, failures=3, held_at=now, reason="they fail"
    )
    assert offered(alpha, now, 10) == []


def test_jobs_of_the_only_queue_end_when_the_cluster_serves_it_no_longer(alpha: Any, now: datetime) -> None:
    submitted(alpha, 3, now=now)
    offered(alpha, now)

    Serves.objects.update(whole=False)
    assert len(offered(alpha, now)) == 3

    Serves.objects.all().delete()
    assert offered(alpha, now) == []


def test_a_request_reads_many_queues_in_as_many_statements_as_two(alpha: Any, now: datetime) -> None:
    ids = [submitted(alpha, now=now, nodes=2**size)[0] for size in range(2)]
    cost = statements(lambda: offered(alpha, now, 10))

    ids += [submitted(alpha, now=now, nodes=2**size)[0] for size in range(2, 20)]

    assert offered(alpha, now, 10) == ids[:10]
    assert offered(alpha, now) == ids
    assert statements(lambda: offered(alpha, now, 10)) == cost


def test_more_jobs_of_the_only_queue_than_are_read_at_once_come_in_its_order(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 700, now=now)

    assert offered(alpha, now) == ids
    assert offered(alpha, now) == ids
    assert offered(alpha, now, 120) == ids[:120]


def test_of_a_class_that_a_bound_divides_each_job_is_looked_at_after_some_requests(alpha: Any, now: datetime) -> None:
    submitted(alpha, 5_000, now=now, nodes=16)
    last = submitted(alpha, now=now, nodes=9)

    found = [offered(alpha, now, 10, max_nodes=12) for _ in range(6)]

    assert found[0] == []
    assert last in found


def test_jobs_of_a_token_that_is_held_back_do_not_hide_those_of_others(alpha: Any, now: datetime) -> None:
    submitted(alpha, 5_000, now=now)
    held = alpha.submitter.credential_id
    Streak.objects.create(cluster=alpha.cluster, credential_id=held, failures=3, held_at=now, reason="they fail")
    create_credential(cluster=alpha.cluster, kind=CredentialKind.TOKEN, label="other", by=None, now=now)
    other = alpha.cluster.credentials.get(label="other").id
    wanted = submitted(alpha, now=now)
    Job.objects.filter(id__in=wanted).update(submitted_by_id=other)

    found = [offered(alpha, now, 10) for _ in range(6)]

    assert wanted in found
    assert all(one in ([], wanted) for one in found)


def test_a_credential_that_makes_many_queues_has_the_rest_of_its_jobs_in_one(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", 5)
    ids = [submitted(alpha, now=now, nodes=2**size)[0] for size in range(10)]

    assert Queue.objects.count() == 5 + 1
    assert offered(alpha, now) == ids
    assert offered(alpha, now, max_nodes=128) == ids[:8]
    assert offered(alpha, now, max_nodes=100) == ids[:7]


def test_a_cluster_that_has_many_queues_has_the_rest_of_its_jobs_in_one(
    alpha: Any, beta: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CLUSTER", 5)
    submitted(beta, now=now)

    ids = [submitted(alpha, now=now, nodes=2**size)[0] for size in range(10)]

    assert Serves.objects.filter(cluster=alpha.cluster).count() == 5 + 1
    assert offered(alpha, now, max_nodes=300) == ids[:9]


def test_a_queue_that_was_empty_for_a_day_is_deleted(alpha: Any, now: datetime) -> None:
    (taken,) = submitted(alpha, now=now, nodes=4)
    (waiting,) = submitted(alpha, now=now, nodes=8)
    accept_jobs(caller=alpha.puller, job_ids=[taken], now=now)

    assert delete_empty_queues(now=now) == 0
    assert delete_empty_queues(now=now + DAY - timedelta(seconds=1)) == 0
    assert delete_empty_queues(now=now + DAY) == 1

    (again,) = submitted(alpha, now=now, nodes=4)
    assert offered(alpha, now) == [waiting, again]


def test_a_queue_that_is_used_again_within_the_day_stays(alpha: Any, now: datetime) -> None:
    (first,) = submitted(alpha, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[first], now=now)
    delete_empty_queues(now=now)
    (second,) = submitted(alpha, now=now)
    delete_empty_queues(now=now + DAY / 2)
    accept_jobs(caller=alpha.puller, job_ids=[second], now=now)

    assert delete_empty_queues(now=now + DAY) == 0
    assert delete_empty_queues(now=now + 2 * DAY) == 1


def test_a_queue_that_is_filled_just_before_its_end_is_kept(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = submitted(alpha, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], now=now)
    delete_empty_queues(now=now)
    delete = empty_queues._delete
    late: list[int] = []

    def fill_and_delete(queue_id: int) -> int:
        late.extend(submitted(alpha, now=now))
        return delete(queue_id)

    monkeypatch.setattr(empty_queues, "_delete", fill_and_delete)

    assert delete_empty_queues(now=now + DAY) == 0
    assert offered(alpha, now) == late


def test_jobs_that_an_earlier_release_queued_are_placed(alpha: Any, now: datetime) -> None:
    ids = [submitted(alpha, now=now, nodes=nodes)[0] for nodes in (1, 4, 16)]
    Job.objects.update(queue_id=None)
    Queue.objects.all().delete()
    assert waits_for_a_queue()

    assert place_waiting_jobs(now=now) == 3

    assert not waits_for_a_queue()
    assert offered(alpha, now, max_nodes=4) == ids[:2]
    assert set(Job.objects.values_list("state", flat=True)) == {JobState.QUEUED}
