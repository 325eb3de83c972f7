"""Why a job waits."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from clusters.bounds import Bounds
from clusters.models import Cluster
from clusters.services.streaks import held_back
from jobs.models import Job
from jobs.queries.activity import activity_by_cluster
from jobs.queries.pools import members_by_pool
from jobs.queries.warnings import QUIET_AFTER, in_words
from jobs.sql.inserts import beginning
from jobs.sql.reads import jobs_before, queued_counts
from jobs.states import Activity, JobState, Span

_COUNT_UP_TO = 10_000


def explain_wait(*, job: Job, now: datetime) -> list[str]:
    """Why a waiting job waits, in sentences without a full stop, the gravest first; empty when it does not wait."""
    if job.state != JobState.QUEUED:
        return []
    if job.cluster.pool:
        return [*_paused(job.cluster, now), *_of_the_pool(job, now), _place(job)]
    return [*_hindrances(job, job.cluster, now), *_misfits(job), _place(job), _pace(job, now)]


def _of_the_pool(job: Job, now: datetime) -> Iterator[str]:
    for member in members_by_pool([job.cluster_id])[job.cluster_id]:
        yield from _hindrances(job, member.cluster, now)
        if now - job.submitted_at < timedelta(seconds=member.after_seconds):
            yield f"{member.cluster} takes jobs of {job.cluster} that have waited for {member.after_seconds:,} s"


def _paused(cluster: Cluster, now: datetime) -> Iterator[str]:
    if cluster.paused_at:
        by = f" by {cluster.paused_by}" if cluster.paused_by else ""
        yield f"{cluster} was paused {in_words(now - cluster.paused_at)} ago{by}: {cluster.paused_reason}"


def _hindrances(job: Job, cluster: Cluster, now: datetime) -> Iterator[str]:
    yield from _paused(cluster, now)
    for streak in held_back(cluster_ids=[cluster.id]):
        if streak.credential_id == job.submitted_by_id and streak.held_at:
            since, token = in_words(now - streak.held_at), streak.credential
            yield f"{cluster} has held back the jobs of {token} for {since}: {streak.reason}"
    if cluster.not_ready:
        yield f"{cluster} takes no jobs now: {cluster.not_ready}"
    if cluster.last_asked_at is None:
        yield f"{cluster}'s agent has never asked for jobs"
    elif now - cluster.last_asked_at >= QUIET_AFTER:
        yield f"{cluster}'s agent last asked for jobs {in_words(now - cluster.last_asked_at)} ago"


def _misfits(job: Job) -> Iterator[str]:
    """Where the job exceeds what the agent's last request said that it can take."""
    bounds = Bounds.read(job.cluster.last_bounds)
    for limit in bounds.limits:
        if (wish := getattr(job, limit.field)) > limit.most:
            yield f"the agent's last request took at most {limit.most:,} {limit.unit}, and this job wants {wish:,}"
    for key, value in bounds.labels.items():
        if job.labels.get(key) != value:
            yield f"the agent's last request took only jobs labeled {key}={value}"


def _place(job: Job) -> str:
    counts = queued_counts([job.cluster_id])
    higher = sum(int(jobs) for _, priority, jobs in counts if priority > job.priority)
    same = jobs_before(job.cluster_id, job.priority, job.id, at_most=_COUNT_UP_TO)
    if not higher + same:
        return "no job is before it"
    number = f"{higher + same:,}" if same < _COUNT_UP_TO else f"{higher + same:,} or more"
    return f"{number} {'job is' if higher + same == 1 else 'jobs are'} before it"


def _pace(job: Job, now: datetime) -> str:
    since = beginning(Span.FIVE_MINUTES, now - timedelta(hours=1))
    mine = [job.cluster_id]
    totals = activity_by_cluster(span=Span.FIVE_MINUTES, since=since, cluster_ids=mine).get(job.cluster_id, {})
    taken = totals.get(Activity.ACCEPTED, 0)
    return f"{job.cluster} took {taken:,} {'job' if taken == 1 else 'jobs'} in the last hour"
