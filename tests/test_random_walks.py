"""Long random sequences of the verbs, after each of which the records still agree with one another."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Operator
from jobs.models import Job, JobEvent
from jobs.queries.summaries import summarize_jobs
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.expire import expire_leases
from jobs.services.move import move_jobs
from jobs.services.orders import Order
from jobs.services.priority import change_priority
from jobs.services.prune import prune_jobs
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import MOVES, JobState, What
from tests.support.lives import replay
from tests.support.long import first_of
from tests.support.queue import counted, operator_named, recounted

pytestmark = pytest.mark.django_db

STEPS = 80
# What agents say of jobs, most often that they run.
SAID = [JobState.ACCEPTED, JobState.RUNNING, JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED]


class Walker:
    """Does something sensible or odd to random jobs of two clusters, a minute at a time."""

    def __init__(self, seed: int, members: list[Any], olga: Operator, now: datetime) -> None:
        self.random, self.members, self.olga, self.now = random.Random(seed), members, olga, now
        self.ids: list[int] = []

    def step(self) -> None:
        self.now += timedelta(minutes=1)
        verbs: list[Callable[[Any], object]] = [
            self.submit,
            self.submit,
            self.accept,
            self.cancel,
            self.requeue,
            self.report,
            self.report,
            self.expire,
            self.prioritize,
            self.move,
            self.prune,
        ]
        self.random.choice(verbs)(self.random.choice(self.members))

    def some(self) -> list[int]:
        """Ids that exist, that never did, and some twice."""
        known = self.random.sample(self.ids, min(len(self.ids), self.random.randint(1, 12)))
        return [*known, *known[:2], 2_000_000_000]

    def submit(self, member: Any) -> None:
        specs = [
            JobSpec(
                command=f"echo {self.random.randint(1, 3)}",
                priority=self.random.choice([-1, 0, 0, 7]),
                idempotency_key=self.random.choice(["", "", "a", "b"]),
                labels=self.random.choice([{}, {"a": "b"}]),
            )
            for _ in range(self.random.randint(1, 15))
        ]
        orders = [Order(by=member.submitter, cluster_id=member.cluster.id, spec=spec) for spec in specs]
        submit_jobs(orders=orders, now=self.now)
        self.ids = list(Job.objects.values_list("id", flat=True))

    def accept(self, member: Any) -> None:
        agent = self.random.choice(["", "agent-1", "agent-2"])
        accept_jobs(caller=member.puller, job_ids=self.some(), agent=agent, now=self.now)

    def cancel(self, member: Any) -> None:
        by = self.random.choice([member.submitter, member.puller, self.olga])
        cancel_jobs(by=by, job_ids=self.some()[:6], reason="enough", now=self.now)

    def requeue(self, member: Any) -> None:
        requeue_jobs(by=self.random.choice([member.puller, self.olga]), job_ids=self.some(), reason="x", now=self.now)

    def report(self, member: Any) -> None:
        reports = [
            Report(job_id=job_id, attempt=self.random.choice([1, 1, 1, 2]), state=self.random.choice(SAID))
            for job_id in self.some()
        ]
        agent = self.random.choice(["agent-1", "agent-2"])
        report_jobs(caller=member.puller, agent=agent, reports=reports, lease_seconds=30, now=self.now)

    def expire(self, member: Any) -> None:
        # After a pause, as after an outage, every lease runs anew; those of 30 seconds then end.
        for seconds in range(50, -1, -5):
            expire_leases(now=self.now - timedelta(seconds=seconds))

    def prioritize(self, member: Any) -> None:
        priority = self.random.choice([-100, 0, 7, 100])
        change_priority(by=self.olga, job_ids=self.some(), priority=priority, reason="x", now=self.now)

    def move(self, member: Any) -> None:
        move_jobs(by=self.olga, job_ids=self.some(), cluster_id=member.cluster.id, reason="x", now=self.now)

    def prune(self, member: Any) -> None:
        prune_jobs(before=self.now - timedelta(minutes=self.random.randint(5, 20)))


@pytest.fixture
def walker(request: pytest.FixtureRequest, alpha: Any, beta: Any, now: datetime) -> Walker:
    return Walker(request.param, [alpha, beta], operator_named("olga"), now)


@pytest.mark.parametrize("walker", first_of(range(6), 2), indirect=True)
def test_after_every_step_of_a_walk_the_counts_are_what_a_recount_gives(walker: Walker) -> None:
    seen = set()

    for _ in range(STEPS):
        walker.step()
        assert counted() == recounted()
        seen |= {state for _, state, _ in recounted()}

    assert seen >= {"queued", "accepted", "cancelled"}


@pytest.mark.parametrize("walker", first_of(range(6, 10), 1), indirect=True)
def test_after_a_walk_the_events_of_every_job_lead_to_its_state_along_the_moves(walker: Walker) -> None:
    for _ in range(STEPS):
        walker.step()

    for job in Job.objects.all():
        assert replay(job.id) == (job.state, job.attempt)
        assert_lawful(list(JobEvent.objects.filter(job_id=job.id).order_by("id")))
    assert not JobEvent.objects.exclude(job_id__in=Job.objects.values("id")).exists()


@pytest.mark.parametrize("walker", first_of(range(10, 12), 1), indirect=True)
def test_after_a_walk_a_summary_is_what_a_count_of_the_rows_gives(walker: Walker) -> None:
    for _ in range(STEPS):
        walker.step()

    for summary in summarize_jobs(cluster_ids=[member.cluster.id for member in walker.members]):
        mine = Job.objects.filter(cluster_id=summary.cluster_id)
        by_state = {state: mine.filter(state=state).count() for state in JobState}
        assert summary.counts == {state: number for state, number in by_state.items() if number}


def assert_lawful(events: list[JobEvent]) -> None:
    """Begins with the submission; every later event stays or moves along MOVES; attempts rise by requeues only."""
    first, *later = events
    assert (first.what, first.state, first.attempt) == (What.SUBMITTED, JobState.QUEUED, 1)
    before = first
    for event in later:
        assert event.at >= before.at
        assert event.state == before.state or event.state in MOVES[JobState(before.state)]
        assert event.attempt - before.attempt == (event.what == What.REQUEUED)
        before = event
