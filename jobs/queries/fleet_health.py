"""The health of the clusters, and what needs attention."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from clusters.bounds import Bounds
from clusters.models import OF_CLUSTERS, Cluster, Credential, PoolMember, Streak
from clusters.services.streaks import held_back
from jobs.leases import HOLD_AT_MOST
from jobs.models import BulkAction, LeaseWatch
from jobs.queries.activity import activity_by_cluster
from jobs.queries.pools import last_asked_at, members_by_pool
from jobs.queries.silence import silent_clusters
from jobs.queries.summaries import Summary, summarize_jobs
from jobs.queries.warnings import asks, in_words
from jobs.sql.inserts import beginning
from jobs.sql.reads import waiting_unserved
from jobs.states import Activity, JobState, Span

EXPIRES_SOON = timedelta(days=14)
LONG_PAUSE = timedelta(hours=24)
STALLED_AFTER = timedelta(minutes=2)
# The rate of failures jumped when at least so many failed, so many in a hundred, and so many times the day's share.
_FAILED, _PERCENT, _TIMES = 5, 20, 3
# How many clusters a concern about many names.
_NAMED = 5
# The jobs of each queue that no cluster serves.
_COUNT_UP_TO = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A cluster or a pool with its queue and what it did in the last hour and in the day before that.

    `held` are the tokens whose jobs it holds back, `members` the clusters of a pool.
    """

    cluster: Cluster
    summary: Summary
    hour: dict[Activity, int]
    day: dict[Activity, int]
    held: Sequence[Streak]
    now: datetime
    members: Sequence[PoolMember] = ()

    @property
    def last_asked_at(self) -> datetime | None:
        """When its agent asked last; of a pool the last of its clusters that take jobs."""
        return last_asked_at(self.members) if self.cluster.pool else self.cluster.last_asked_at

    @property
    def silence(self) -> timedelta | None:
        """How long ago that was; None when it never was."""
        return self.now - self.last_asked_at if self.last_asked_at else None

    @property
    def asks(self) -> bool:
        return asks(self.last_asked_at, now=self.now)

    @property
    def oldest_waits(self) -> timedelta | None:
        at = self.summary.oldest_submitted_at
        return self.now - at if at else None

    @property
    def bounds(self) -> list[tuple[str, object]]:
        """What the agent's last request could take, as pairs of a unit and a number."""
        bounds = Bounds.read(self.cluster.last_bounds)
        labels = [("as labels", bounds.labels)] if bounds.labels else []
        return [*((limit.unit, limit.most) for limit in bounds.limits), *labels]

    @property
    def waiting(self) -> int:
        return self.summary.counts.get(JobState.QUEUED, 0)

    @property
    def lost(self) -> int:
        return self.summary.counts.get(JobState.LOST, 0)

    @property
    def failed(self) -> int:
        return self.hour.get(Activity.FAILED, 0)

    @property
    def fails_more(self) -> bool:
        """Whether many more of its jobs failed in the last hour than in the day before."""
        now, before = _failed_percent(self.hour), _failed_percent(self.day)
        return self.failed >= _FAILED and now >= _PERCENT and now >= _TIMES * before

    @property
    def in_trouble(self) -> bool:
        return bool(self.lost or self.fails_more or (self.waiting and not self.asks))


class ConcernKind(Enum):
    SILENT = "silent"
    NOT_READY = "not ready"
    HELD_BACK = "held back"
    TOKEN_HELD = "token held"
    LOST = "lost"
    FAILING = "failing"
    PAUSED = "paused"
    UNSERVED = "unserved"
    EXPIRING = "expiring"
    STALLED = "stalled"
    SECRET = "secret"
    DEBUG = "debug"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """What needs an operator's attention, in words. `about` is the id of the cluster, or of the bulk_action."""

    kind: ConcernKind
    grave: bool
    text: str
    about: int = 0


def fleet_health(*, now: datetime, clusters: Sequence[Cluster] | None = None) -> list[Health]:
    """The health of these clusters and pools, or of all, by name.

    Takes the same few queries for any number of clusters and jobs.
    """
    found = list(Cluster.objects.defer("facts").order_by("name")) if clusters is None else clusters
    an_hour_ago = beginning(Span.FIVE_MINUTES, now - timedelta(hours=1))
    ids = [cluster.id for cluster in clusters] if clusters is not None else None
    hour = activity_by_cluster(span=Span.FIVE_MINUTES, since=an_hour_ago, cluster_ids=ids)
    a_day_ago, this_hour = now - timedelta(hours=25), beginning(Span.HOUR, now)
    day = activity_by_cluster(span=Span.HOUR, since=a_day_ago, until=this_hour, cluster_ids=ids)
    summaries = {summary.cluster_id: summary for summary in summarize_jobs(cluster_ids=[one.id for one in found])}
    held = held_back(cluster_ids=summaries)
    # Of all clusters each is there already, also those that are in many pools.
    known = {cluster.id: cluster for cluster in found} if clusters is None else None
    members = members_by_pool((cluster.id for cluster in found if cluster.pool), known=known)
    return [
        Health(
            cluster=cluster,
            held=[one for one in held if one.cluster_id == cluster.id],
            members=members.get(cluster.id, ()),
            summary=summaries[cluster.id],
            hour=hour.get(cluster.id, {}),
            day=day.get(cluster.id, {}),
            now=now,
        )
        for cluster in found
    ]


def concerns(*, fleet: Iterable[Health], development_secret: bool, debug: bool, now: datetime) -> list[Concern]:
    """What needs attention, the grave first. The flags say whether the server runs with the one and in the other."""
    found = [concern for health in fleet for concern in concerns_of(health)]
    found += [*_held_back(now), *_unserved(), *_expiring(now), *_stalled(now)]
    if development_secret:
        text = "The development registration secret is in use: only this machine can register clusters"
        found.append(Concern(kind=ConcernKind.SECRET, grave=False, text=text))
    if debug:
        text = "RAINBOW_DEBUG is on: error pages show this server's code and settings"
        found.append(Concern(kind=ConcernKind.DEBUG, grave=True, text=text))
    return sorted(found, key=lambda concern: not concern.grave)


def concerns_of(health: Health) -> Iterator[Concern]:
    name, id, waiting = health.cluster.name, health.cluster.id, health.waiting
    if waiting and not health.asks:
        yield _silent(health)
    if health.fails_more:
        ended = health.failed + health.hour.get(Activity.COMPLETED, 0)
        text = f"{name} fails more than usual: {health.failed:,} of {_jobs(ended)} in the last hour, "
        text += f"{_failed_percent(health.day):.0f} % the day before"
        yield Concern(kind=ConcernKind.FAILING, grave=True, text=text, about=id)
    if health.lost:
        text = f"{name} has {health.lost:,} lost {'job' if health.lost == 1 else 'jobs'}"
        yield Concern(kind=ConcernKind.LOST, grave=True, text=text, about=id)
    for streak in health.held:
        since = in_words(health.now - streak.held_at) if streak.held_at else ""
        text = f"{name} has held back the jobs of {streak.whose} for {since}: {streak.reason}"
        yield Concern(kind=ConcernKind.TOKEN_HELD, grave=False, text=text, about=id)
    paused_at = health.cluster.paused_at
    if paused_at and waiting and health.now - paused_at >= LONG_PAUSE:
        text = f"{name} has been paused for {in_words(health.now - paused_at)}, and {_jobs(waiting)} wait"
        yield Concern(kind=ConcernKind.PAUSED, grave=False, text=text, about=id)


def _silent(health: Health) -> Concern:
    name, id, wait = health.cluster.name, health.cluster.id, f"and {_jobs(health.waiting)} wait"
    since = f"has not asked for {in_words(health.silence)}" if health.silence else "has never asked"
    if reason := health.cluster.not_ready:
        text = f"{name} is not ready: {reason}; its agent {since}, {wait}"
        return Concern(kind=ConcernKind.NOT_READY, grave=False, text=text, about=id)
    text = f"{name} is silent: its agent {since}, {wait}"
    if health.cluster.pool:
        text = f"No cluster of {name} takes jobs, {wait}"
        if health.silence:
            text = f"The clusters of {name} that take jobs have not asked for {in_words(health.silence)}, {wait}"
    return Concern(kind=ConcernKind.SILENT, grave=True, text=text, about=id)


def _held_back(now: datetime) -> Iterator[Concern]:
    for watch in LeaseWatch.objects.filter(held_back_since__isnull=False):
        ids = silent_clusters(now=now)
        names = list(Cluster.objects.filter(id__in=ids).order_by("name").values_list("name", flat=True)[: _NAMED + 1])
        since = in_words(now - watch.held_back_since) if watch.held_back_since else ""
        text = f"Most clusters have been silent at once for {since}: it may be the network, so their leases run on. "
        left = watch.hold_began_at + HOLD_AT_MOST - now if watch.hold_began_at else HOLD_AT_MOST
        text += f"In {in_words(max(left, timedelta(0)))} their jobs are taken for lost"
        text += f". Silent: {', '.join(names[:_NAMED])}{' and others' if len(names) > _NAMED else ''}" if names else ""
        yield Concern(kind=ConcernKind.HELD_BACK, grave=True, text=text)


def _unserved() -> Iterator[Concern]:
    jobs: Counter[int] = Counter()
    for home_id, waiting in waiting_unserved(at_most=_COUNT_UP_TO):
        jobs[home_id] += waiting
    homes = Cluster.objects.filter(id__in=jobs).order_by("name").values_list("id", "name", "pool")
    for home_id, name, pool in homes if jobs else ():
        if number := jobs[home_id]:
            them, wait = ("it", "waits") if number == 1 else ("them", "wait")
            who = f"no cluster of the pool can run {them} as it is" if pool else f"it cannot run {them} as it is"
            text = f"{_jobs(number)} of {name} {wait}, and {who}"
            yield Concern(kind=ConcernKind.UNSERVED, grave=False, text=text, about=home_id)


def _expiring(now: datetime) -> Iterator[Concern]:
    soon = (
        Credential.objects.live(now)
        .filter(expires_at__lt=now + EXPIRES_SOON, kind__in=OF_CLUSTERS)
        .select_related("cluster")
        .defer("cluster__facts")
    )
    for credential in soon.order_by("expires_at"):
        left = in_words(credential.expires_at - now) if credential.expires_at else ""
        text = f"The {credential.kind} “{credential.label}” of {credential.home} expires in {left}"
        yield Concern(kind=ConcernKind.EXPIRING, grave=False, text=text, about=credential.home.id)


def _stalled(now: datetime) -> Iterator[Concern]:
    going = BulkAction.objects.filter(finished_at__isnull=True, stepped_at__lt=now - STALLED_AFTER)
    for bulk_action in going.order_by("stepped_at"):
        text = f"A bulk action ({bulk_action.get_kind_display()}) has stalled at {bulk_action.percent} %: "
        text += f"{bulk_action.changed:,} jobs changed, begun {in_words(now - bulk_action.begun_at)} ago"
        yield Concern(kind=ConcernKind.STALLED, grave=False, text=text, about=bulk_action.id)


def _failed_percent(activity: dict[Activity, int]) -> float:
    failed = activity.get(Activity.FAILED, 0)
    ended = failed + activity.get(Activity.COMPLETED, 0)
    return 100 * failed / ended if ended else 0.0


def _jobs(number: int) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}"
