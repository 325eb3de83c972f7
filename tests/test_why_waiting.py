"""Why a job waits, in words, from what the server knows."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.bounds import Bounds
from clusters.services.authenticate import note_visits
from clusters.services.pause import note_readiness, pause_cluster
from jobs.models import Job
from jobs.queries import explain
from jobs.queries.explain import explain_wait
from jobs.services.accept import accept_jobs
from tests.support.queue import operator_named, submitted


def asked(member: Any, at: datetime, **bounds: Any) -> None:
    note_visits(used=[], asked={member.cluster.id: Bounds(**bounds)}, now=at)


def why(job_id: int, now: datetime) -> list[str]:
    """The parts of the summary."""
    wait = explain_wait(job=Job.objects.get(id=job_id), now=now)
    return wait.summary.split("; ") if wait else []


def test_the_next_job_of_a_busy_cluster_waits_for_nothing(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 2, now=now)
    asked(alpha, now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], now=now)

    assert why(ids[1], now) == ["alpha would take it", "took 1 job in the last hour", "no job is before it"]
    assert why(ids[0], now) == []


def test_a_pause_and_a_silent_agent_come_first(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now)
    submitted(alpha, now=now, priority=5)
    asked(alpha, now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="a new file system", by=operator_named("olga"), now=now)

    assert why(ids[2], now + timedelta(minutes=42)) == [
        "alpha was paused 42 minutes ago by olga: a new file system",
        "last asked for jobs 42 minutes ago",
        "3 jobs are before it",
    ]


def test_an_agent_that_is_not_ready_says_why(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, now=now)
    asked(alpha, now)
    note_readiness(cluster_id=alpha.cluster.id, not_ready="all that it has is in use")

    assert why(ids[0], now)[0] == "alpha takes no jobs now: all that it has is in use"


def test_an_agent_that_never_asked_is_said(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, now=now)

    assert why(ids[0], now)[0] == "alpha has never asked for jobs"


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({"max_nodes": 8}, "alpha is full: its last request offered 8 nodes, and the job wants 16"),
        ({"max_tasks": 100}, "alpha is full: its last request offered 100 tasks, and the job wants 2,048"),
        (
            {"max_time_limit_seconds": 3600},
            "alpha is full: its last request offered 3,600 seconds, and the job wants 7,200",
        ),
        ({"labels": {"queue": "gpu"}}, "alpha asked only for jobs labeled queue=gpu"),
    ],
)
def test_what_the_agent_cannot_take_is_said(alpha: Any, now: datetime, bounds: Any, sentence: str) -> None:
    ids = submitted(alpha, now=now, nodes=16, tasks=2048, time_limit_seconds=7200, labels={"queue": "cpu"})
    asked(alpha, now, **bounds)

    assert why(ids[0], now)[0] == sentence


def test_what_the_agent_can_take_is_no_reason(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, now=now, nodes=4, labels={"queue": "cpu"})
    asked(alpha, now, max_nodes=8, labels={"queue": "cpu"})

    assert why(ids[0], now)[0] == "alpha would take it"


def test_older_jobs_of_the_same_priority_and_all_of_higher_ones_are_before_it(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(alpha, 3, now=now)
    (job_id,) = submitted(alpha, now=now)
    submitted(alpha, 2, now=now, priority=1)
    submitted(alpha, 2, now=now)
    submitted(alpha, 2, now=now, priority=-1)

    assert why(job_id, now)[-1] == "5 jobs are before it"
    monkeypatch.setattr(explain, "_COUNT_UP_TO", 2)
    assert why(job_id, now)[-1] == "4 or more jobs are before it"


def test_a_job_that_has_no_queue_yet_says_so(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)
    asked(alpha, now)
    Job.objects.update(queue=None)

    assert why(job_id, now)[0] == "alpha may not take it until the server has put it into a queue"
