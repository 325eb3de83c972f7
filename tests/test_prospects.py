"""What each cluster of a pool says to a job that waits there: each line is true, and goes when its reason does."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.bounds import Bounds
from clusters.callers import Claim
from clusters.facts import Facts, Partition
from clusters.models import Cluster
from clusters.services.authenticate import admit, note_visits
from clusters.services.pause import note_readiness, pause_cluster, resume_cluster, resume_token
from clusters.services.streaks import End, note_ends
from jobs.models import Job
from jobs.queries.explain import Explanation, Prospect, explain_wait
from jobs.queries.prospects import Outlook
from jobs.queries.queue import request_jobs
from jobs.reports import Report, Return
from jobs.services.accept import accept_jobs
from jobs.services.pools import Member, change_pool
from jobs.services.report import report_jobs
from jobs.services.serving import facts_changed
from jobs.states import JobState
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db

AGENT = "agent-1"
# Their agents ask for nothing, whatever the server would give them.
NO_REQUEST = (Outlook.NOT_READY, Outlook.NEVER_ASKED, Outlook.SILENT)


@dataclass(kw_only=True)
class World:
    """A job of 16 nodes in a pool of alpha and beta, some time after its submission."""

    pool: Pool
    alpha: Any
    beta: Any
    job_id: int
    now: datetime

    def wait(self) -> Explanation:
        wait = explain_wait(job=Job.objects.get(id=self.job_id), now=self.now)
        assert wait
        return wait

    def of(self, member: Any) -> Prospect:
        return next(one for one in self.wait().prospects if one.cluster == member.name)

    def is_offered(self, member: Any) -> bool:
        """Whether the cluster is offered the job when it asks as it did last."""
        bounds = Bounds.read(Cluster.objects.get(id=member.cluster.id).last_bounds)
        caller = admit(Claim(value=member.secret), now=self.now)
        return any(
            job.id == self.job_id for job in request_jobs(caller=caller, bounds=bounds, shared=True, now=self.now)
        )

    def ask(self, member: Any, **bounds: Any) -> None:
        note_visits(used=[], asked={member.cluster.id: Bounds(**bounds)}, now=self.now)

    def has(self, member: Any, **sizes: Any) -> None:
        facts = Facts(partitions=(Partition(name="batch", **sizes),))
        Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
        facts_changed(cluster_ids=[member.cluster.id])

    def give_back(self, member: Any, why: Return) -> None:
        taken = accept_jobs(caller=member.puller, job_ids=[self.job_id], agent=AGENT, now=self.now).accepted
        state = JobState.FAILED if why == Return.REFUSED else JobState.CANCELLED
        report = Report(job_id=self.job_id, attempt=taken[0].attempt, state=state, reason="no", returned=why)
        report_jobs(caller=member.puller, agent=AGENT, reports=[report], now=self.now)

    def delay(self, seconds: int) -> None:
        members = [Member(cluster="alpha", after_seconds=seconds), Member(cluster="beta")]
        change_pool(pool_id=self.pool.cluster.id, members=members, by=None, now=self.now)

    def pause(self, place: Any) -> None:
        pause_cluster(cluster_id=place.cluster.id, reason="maintenance", by=None, now=self.now)

    def resume(self, place: Any) -> None:
        resume_cluster(cluster_id=place.cluster.id, by=None, now=self.now)

    def hold(self, member: Any) -> None:
        end = End(credential_id=self.pool.submitter.credential_id, at_once=True, reason="no such file")
        note_ends(cluster_id=member.cluster.id, ends=[end, end], hold_after=2, now=self.now)

    def later(self, **span: Any) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def world(alpha: Any, beta: Any, now: datetime) -> World:
    pool = pool_of("alpha", "beta", now=now)
    (job_id,) = submitted(pool, now=now, nodes=16, tasks=32, time_limit_seconds=600, labels={"queue": "cpu"})
    world = World(pool=pool, alpha=alpha, beta=beta, job_id=job_id, now=now + timedelta(seconds=60))
    world.ask(alpha)
    world.ask(beta)
    return world


Change = Callable[[World], object]


def _wait_and_let_beta_ask(world: World) -> None:
    world.later(minutes=42)
    world.ask(world.beta)


def _wait_for_the_turn(world: World) -> None:
    world.later(seconds=40)
    world.ask(world.alpha)


CASES: list[tuple[Outlook, str, Change, Change]] = [
    (
        Outlook.MAY_NOT,
        "did not start it in time; others go first",
        lambda world: world.give_back(world.alpha, Return.NOT_STARTED),
        lambda world: world.give_back(world.beta, Return.NOT_STARTED),
    ),
    (
        Outlook.LACKS,
        "cannot run it: it wants 16 nodes; the most is 12 (partition batch)",
        lambda world: world.has(world.alpha, nodes=12),
        lambda world: world.has(world.alpha, nodes=16),
    ),
    (
        Outlook.PAUSED,
        "was paused 0 seconds ago: maintenance",
        lambda world: world.pause(world.alpha),
        lambda world: world.resume(world.alpha),
    ),
    (
        Outlook.PAUSED,
        "may not take it now: big was paused 0 seconds ago: maintenance",
        lambda world: world.pause(world.pool),
        lambda world: world.resume(world.pool),
    ),
    (
        Outlook.HELD_BACK,
        "has held back the jobs of token default for 0 seconds: 2 jobs in a row failed at once; "
        "the last one: no such file; `rainbow resume` lets them go on",
        lambda world: world.hold(world.alpha),
        lambda world: resume_token(by=world.pool.submitter, now=world.now),
    ),
    (
        Outlook.NOT_READY,
        "takes no jobs now: no disk",
        lambda world: note_readiness(cluster_id=world.alpha.cluster.id, not_ready="no disk"),
        lambda world: note_readiness(cluster_id=world.alpha.cluster.id, not_ready=""),
    ),
    (
        Outlook.NEVER_ASKED,
        "has never asked for jobs",
        lambda world: Cluster.objects.filter(name="alpha").update(last_asked_at=None),
        lambda world: world.ask(world.alpha),
    ),
    (
        Outlook.SILENT,
        "last asked for jobs 42 minutes ago",
        _wait_and_let_beta_ask,
        lambda world: world.ask(world.alpha),
    ),
    (
        Outlook.FULL,
        "is full: its last request offered 8 nodes, and the job wants 16",
        lambda world: world.ask(world.alpha, max_nodes=8),
        lambda world: world.ask(world.alpha, max_nodes=16),
    ),
    (
        Outlook.FULL,
        "is full: its last request offered 1 task, and the job wants 32",
        lambda world: world.ask(world.alpha, max_tasks=1),
        lambda world: world.ask(world.alpha, max_tasks=32),
    ),
    (
        Outlook.FULL,
        "is full: its last request offered 300 seconds, and the job wants 600",
        lambda world: world.ask(world.alpha, max_time_limit_seconds=300),
        lambda world: world.ask(world.alpha, max_time_limit_seconds=600),
    ),
    (
        Outlook.FULL,
        "is full: its last request offered 31 cores, and the job wants 32",
        lambda world: world.ask(world.alpha, max_cores=31),
        lambda world: world.ask(world.alpha, max_cores=32),
    ),
    (
        Outlook.OTHER_LABELS,
        "asked only for jobs labeled queue=gpu",
        lambda world: world.ask(world.alpha, labels={"queue": "gpu"}),
        lambda world: world.ask(world.alpha, labels={"queue": "cpu"}),
    ),
    (Outlook.LATER, "has its turn in 40 seconds", lambda world: world.delay(100), _wait_for_the_turn),
    (
        Outlook.LATER,
        "has its turn in 1 minute",
        lambda world: world.delay(120),
        lambda world: world.delay(60),
    ),
]


@pytest.mark.parametrize(("outlook", "text", "cause", "cure"), CASES, ids=[text for _, text, *_ in CASES])
def test_each_line_is_true_as_long_as_its_reason_lasts(
    world: World, outlook: Outlook, text: str, cause: Change, cure: Change
) -> None:
    assert (world.of(world.alpha).outlook, world.is_offered(world.alpha)) == (Outlook.WOULD_TAKE, True)

    cause(world)

    assert (world.of(world.alpha).outlook, world.of(world.alpha).text) == (outlook, text)
    if outlook not in NO_REQUEST:
        assert not world.is_offered(world.alpha)
    if "big" not in text:
        assert (world.of(world.beta).outlook, world.is_offered(world.beta)) == (Outlook.WOULD_TAKE, True)

    cure(world)

    assert (world.of(world.alpha).outlook, world.is_offered(world.alpha)) == (Outlook.WOULD_TAKE, True)


def test_what_refused_a_job_never_gets_it_again(world: World) -> None:
    world.give_back(world.alpha, Return.REFUSED)
    world.give_back(world.beta, Return.NOT_STARTED)

    assert (world.of(world.alpha).outlook, world.of(world.alpha).text) == (Outlook.MAY_NOT, "refused it: no")
    assert world.of(world.beta).outlook == Outlook.WOULD_TAKE


def test_a_job_that_names_clusters_waits_for_these_in_its_order(world: World) -> None:
    (world.job_id,) = submitted(world.pool, now=world.now, clusters=("beta", "alpha"), spill_after_seconds=90)
    told = [(one.cluster, one.outlook, world.is_offered(getattr(world, one.cluster))) for one in world.wait().prospects]
    (only_beta,) = submitted(world.pool, now=world.now, clusters=("beta",))

    assert told == [("beta", Outlook.WOULD_TAKE, True), ("alpha", Outlook.LATER, False)]
    assert world.of(world.alpha).text == "has its turn in 1 minute"
    world.job_id = only_beta
    assert [one.cluster for one in world.wait().prospects] == ["beta"]


def test_a_cluster_that_the_job_names_and_its_pool_no_longer_has_may_not_take_it(world: World) -> None:
    (world.job_id,) = submitted(world.pool, now=world.now, clusters=("beta",))
    change_pool(pool_id=world.pool.cluster.id, members=[Member(cluster="alpha")], by=None, now=world.now)

    assert (
        world.wait().summary
        == "no cluster can take it until the pool or its clusters' facts change: 1 may not; 1 job is before it"
    )
    assert world.of(world.beta).text == "is no longer in big"
    assert not world.is_offered(world.beta)


def test_all_reasons_of_a_cluster_are_in_its_line_the_gravest_first(world: World) -> None:
    world.ask(world.alpha, max_nodes=8)
    world.later(minutes=5)
    world.pause(world.alpha)

    line = world.of(world.alpha)

    assert (line.outlook, line.text) == (
        Outlook.PAUSED,
        "was paused 0 seconds ago: maintenance; last asked for jobs 5 minutes ago; "
        "is full: its last request offered 8 nodes, and the job wants 16",
    )


def test_the_summary_counts_the_clusters_that_would_take_it(world: World) -> None:
    assert world.wait().summary == "2 of 2 clusters would take it; no job is before it"

    submitted(world.pool, 2, now=world.now, priority=1)
    world.pause(world.alpha)

    assert world.wait().summary == "1 of 2 clusters would take it; 2 jobs are before it"


def test_the_summary_counts_the_reasons_when_no_cluster_can_take_it(world: World) -> None:
    world.has(world.beta, nodes=1)
    world.pause(world.alpha)

    assert world.wait().summary == "no cluster can take it now: 1 cannot run it, 1 paused; no job is before it"


def test_a_cluster_that_would_take_it_tells_of_its_own_jobs_that_are_before_it(world: World) -> None:
    submitted(world.alpha, 3, now=world.now, priority=1)
    submitted(world.alpha, 1, now=world.now)
    (first,) = submitted(world.beta, now=world.now)
    accept_jobs(caller=world.beta.puller, job_ids=[first], now=world.now)

    texts = [prospect.text for prospect in world.wait().prospects]

    assert texts == [
        "would take it; 3 of its own jobs are before it; took 0 jobs in the last hour",
        "would take it; took 1 job in the last hour",
    ]


@pytest.mark.parametrize("clusters", [1, 40])
def test_it_takes_the_same_queries_for_any_number_of_clusters(
    world: World, now: datetime, clusters: int, django_assert_num_queries: Any
) -> None:
    names = [f"cluster-{number}" for number in range(clusters)]
    Cluster.objects.bulk_create(Cluster(name=name, registered_at=now, last_asked_at=world.now) for name in names)
    change_pool(pool_id=world.pool.cluster.id, members=[Member(cluster=name) for name in names], by=None, now=now)
    job = Job.objects.select_related("cluster", "submitted_by").get(id=world.job_id)

    with django_assert_num_queries(5):
        wait = explain_wait(job=job, now=world.now)

    assert wait
    assert [one.outlook for one in wait.prospects] == [Outlook.WOULD_TAKE] * clusters
