"""What the records say happened to a job: when, who, why; and that nobody rewrites it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.models import JobEvent
from jobs.queries.lookup import get_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.requeue import requeue_jobs
from jobs.states import JobState
from tests.support.lives import job_in, replay, row
from tests.support.queue import operator_named, submitted

pytestmark = pytest.mark.django_db


def events_of(job_id: int) -> list[dict[str, Any]]:
    return list(JobEvent.objects.filter(job_id=job_id).order_by("id").values())


def test_every_step_says_when_who_and_why(alpha: Any, now: datetime) -> None:
    olga = operator_named("olga")
    (job_id,) = submitted(alpha, now=now)
    minutes = [now + timedelta(minutes=number) for number in range(5)]

    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="agent-1", now=minutes[1])
    requeue_jobs(by=olga, job_ids=[job_id], reason="the node burns", now=minutes[2])
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="agent-2", now=minutes[3])
    cancel_jobs(by=alpha.submitter, job_ids=[job_id], reason="too late", now=minutes[4])

    job = get_jobs(by=alpha.puller, job_ids=[job_id], with_events=True)[job_id]
    told = [(event.at, event.what, event.state, event.attempt, event.who, event.why) for event in job.events]
    assert told == [
        (minutes[0], "submitted", "queued", 1, "token default", ""),
        (minutes[1], "accepted", "accepted", 1, "secret default", "by agent-1"),
        (minutes[2], "requeued", "queued", 2, "olga", "the node burns"),
        (minutes[3], "accepted", "accepted", 2, "secret default", "by agent-2"),
        (minutes[4], "cancel_requested", "accepted", 2, "token default", "too late"),
    ]


@pytest.mark.parametrize("state", JobState)
def test_replaying_the_events_of_a_job_gives_its_state_and_attempt(alpha: Any, now: datetime, state: JobState) -> None:
    job_id = job_in(state, alpha, now=now)

    assert replay(job_id) == (row(job_id)["state"], row(job_id)["attempt"]) == (state, 1)


def test_later_events_leave_the_earlier_ones_as_they_are(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.LOST, alpha, now=now)
    before = events_of(job_id)

    requeue_jobs(by=alpha.puller, job_ids=[job_id], reason="again", now=now)
    cancel_jobs(by=alpha.puller, job_ids=[job_id], now=now)

    after = events_of(job_id)
    assert after[: len(before)] == before
    assert [event["what"] for event in after[len(before) :]] == ["requeued", "cancelled"]


def test_what_is_refused_leaves_no_event(alpha: Any, mallory: Any, now: datetime) -> None:
    job_id = job_in(JobState.COMPLETED, alpha, now=now)
    before = events_of(job_id)

    accept_jobs(caller=alpha.puller, job_ids=[job_id], now=now)
    cancel_jobs(by=alpha.puller, job_ids=[job_id], now=now)
    cancel_jobs(by=mallory.puller, job_ids=[job_id], now=now)
    requeue_jobs(by=alpha.puller, job_ids=[job_id], reason="again", now=now)

    assert events_of(job_id) == before
