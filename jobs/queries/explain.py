"""Why a job waits: what each cluster in its reach says to it, and the sum of that."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clusters.callers import Caller, Operator
from clusters.models import Cluster
from jobs.models import Job
from jobs.queries.activity import activity_by_cluster
from jobs.queries.found_job import FoundJob
from jobs.queries.parents import waited_for
from jobs.queries.prospects import Hindrance, Outlook, Reach
from jobs.queries.withdrawn import WITHDRAWN, is_withdrawn
from jobs.specs import CONTENT_FIELDS
from jobs.sql.inserts import beginning
from jobs.sql.reads import jobs_before
from jobs.states import UNTAKEN, Activity, JobState, Span

# Jobs of one priority, in all clusters together.
_COUNT_UP_TO = 10_000
_COUNTED = {
    Outlook.MAY_NOT: "may not",
    Outlook.LACKS: "cannot run it",
    Outlook.HELD_BACK: "held back",
    Outlook.NOT_READY: "not ready",
    Outlook.NEVER_ASKED: "never asked",
    Outlook.OTHER_LABELS: "asked for others",
}

# What no cluster changes by itself.
_FOR_EVER = frozenset({Outlook.MAY_NOT, Outlook.LACKS})
_NONE = "none is in its reach"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """Whether a cluster would take a waiting job, and if not, why. `text` is a predicate of the cluster."""

    cluster: str
    cluster_id: int
    outlook: Outlook
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`prospects` has each cluster in the job's reach, in the pool's order or that in which it names them."""

    found: str
    place: str
    prospects: Sequence[Prospect]

    @property
    def summary(self) -> str:
        return f"{self.found}; {self.place}"


def explain_found(*, by: Caller | Operator, job: FoundJob, now: datetime) -> Explanation | None:
    """The same of a job as it was found; None also when it does not wait there any more."""
    if job.state not in UNTAKEN:
        return None
    there = Job.objects.filter(id=job.id, cluster_id=job.cluster_id, state=job.state)
    waiting = there.select_related("cluster", "submitted_by").defer("cluster__facts", *CONTENT_FIELDS, "output").first()
    return explain_wait(by=by, job=waiting, now=now) if waiting else None


def explain_wait(*, by: Caller | Operator | None = None, job: Job, now: datetime) -> Explanation | None:
    """Why a waiting job waits; None when it does not wait.

    Of the jobs and groups that it waits for their states are told where `by` may see them: None is all who see the job.

    Takes the same few queries for any number of clusters and jobs.
    """
    if job.state not in UNTAKEN:
        return None
    if is_withdrawn(job):
        return Explanation(found=WITHDRAWN, place="it will be cancelled", prospects=[])
    if job.state == JobState.BLOCKED:
        return Explanation(found=_blocked_by(by, job), place="it is in no queue until then", prospects=[])
    reach = Reach.of(job, now=now)
    hindrances = {cluster.id: reach.hindrances(cluster) for cluster in reach.clusters}
    takers = [cluster for cluster in reach.clusters if not hindrances[cluster.id]]
    before = _before(job, takers)
    taken = _taken_in_an_hour([cluster.id for cluster in takers], now)
    prospects = [
        _prospect(cluster, hindrances[cluster.id])
        if hindrances[cluster.id]
        else _taker(job, cluster, before, taken.get(cluster.id, 0))
        for cluster in reach.clusters
    ]
    return Explanation(
        found=reach.lack_of_room or _found(job, prospects), place=before[job.cluster_id].of(), prospects=prospects
    )


def _blocked_by(by: Caller | Operator | None, job: Job) -> str:
    if job.retry_at:
        return f"it is tried again at {job.retry_at:%Y-%m-%d %H:%M:%S} UTC, {job.reason}"
    others = waited_for(by, job) if job.unmet else ""
    return "waits for " + " and ".join(filter(None, [others, "its turn in its group" if job.held_by_group else ""]))


def _prospect(cluster: Cluster, hindrances: Sequence[Hindrance]) -> Prospect:
    text = "; ".join(hindrance.text for hindrance in hindrances)
    return Prospect(cluster=cluster.name, cluster_id=cluster.id, outlook=hindrances[0].outlook, text=text)


def _taker(job: Job, cluster: Cluster, before: Mapping[int, "_Before"], taken: int) -> Prospect:
    own = before[cluster.id]
    queue = "" if cluster.id == job.cluster_id or not own.jobs else f"; {own.of('of its own jobs')}"
    text = f"would take it{queue}; took {_jobs(taken)} in the last hour"
    return Prospect(cluster=cluster.name, cluster_id=cluster.id, outlook=Outlook.WOULD_TAKE, text=text)


def _found(job: Job, prospects: Sequence[Prospect]) -> str:
    if not job.cluster.pool:
        return f"{job.cluster} {prospects[0].text}"
    counts = Counter(prospect.outlook for prospect in prospects)
    if takers := counts[Outlook.WOULD_TAKE]:
        clusters = f"{len(prospects):,} {'cluster' if len(prospects) == 1 else 'clusters'}"
        return f"{takers:,} of {clusters} would take it"
    found = ", ".join(f"{counts[one]:,} {_COUNTED.get(one, one.value)}" for one in Outlook if counts[one])
    if job.queue_id and counts.keys() <= _FOR_EVER:
        return f"no cluster can take it until the pool or its clusters' facts change: {found or _NONE}"
    return f"no cluster can take it now: {found or _NONE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """How many jobs of a cluster or a pool go before a job; `more`: no more were counted."""

    jobs: int
    more: bool

    def of(self, which: str = "") -> str:
        if not self.jobs:
            return "no job is before it"
        number = f"{self.jobs:,}{' or more' if self.more else ''}"
        if which:
            return f"{number} {which} {'is' if self.jobs == 1 else 'are'} before it"
        return f"{number} {'job is' if self.jobs == 1 else 'jobs are'} before it"


def _before(job: Job, takers: Sequence[Cluster]) -> dict[int, _Before]:
    """What goes before a job where it waits, and of their own jobs in the clusters that would take it."""
    homes = {job.cluster_id, *(cluster.id for cluster in takers)}
    at_most = _COUNT_UP_TO // len(homes)
    found = jobs_before(sorted(homes), job.cluster_id, job.place, at_most=at_most)
    return {home: _Before(jobs=int(higher or 0) + int(same), more=same >= at_most) for home, higher, same in found}


def _taken_in_an_hour(cluster_ids: Sequence[int], now: datetime) -> dict[int, int]:
    since = beginning(Span.FIVE_MINUTES, now - timedelta(hours=1))
    totals = activity_by_cluster(span=Span.FIVE_MINUTES, since=since, cluster_ids=cluster_ids)
    return {cluster_id: done.get(Activity.ACCEPTED, 0) for cluster_id, done in totals.items()}


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"
