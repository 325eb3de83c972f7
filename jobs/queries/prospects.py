"""Whether the clusters in a waiting job's reach would take it, and what hinders each."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import NamedTuple, Self

from clusters.bounds import Bounds
from clusters.facts import Facts
from clusters.matching import miss
from clusters.models import Cluster, Streak
from clusters.parsed_facts import parsed_facts
from jobs.models import Job, JobEvent, Serves
from jobs.placement import DEMAND_FIELDS, chosen_clusters, demand_of
from jobs.queries.pools import members_by_pool
from jobs.queries.warnings import asks, in_words
from jobs.reports import Return
from jobs.room import lack_of_room
from jobs.states import What

_NO_ID = 0
# Of the events of a job that tell that it was given back.
_LOOKED_THROUGH = 100


class Outlook(StrEnum):
    """The gravest first."""

    MAY_NOT = "may_not"
    LACKS = "lacks"
    PAUSED = "paused"
    HELD_BACK = "held_back"
    NOT_READY = "not_ready"
    NEVER_ASKED = "never_asked"
    SILENT = "silent"
    FULL = "full"
    OTHER_LABELS = "other_labels"
    LATER = "later"
    WOULD_TAKE = "would_take"


class Hindrance(NamedTuple):
    """`text` is a predicate: what it tells is told of the cluster."""

    outlook: Outlook
    text: str


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The clusters that may be given a waiting job, and what decides whether they are.

    `gone` are those that the job names and its pool no longer has. `served` has, by cluster, its row for the job's
    queue, if it serves that.
    """

    job: Job
    now: datetime
    clusters: Sequence[Cluster]
    gone: Collection[int]
    served: Mapping[int, Serves]
    facts: Mapping[int, Facts]
    held: Mapping[int, Streak]
    # In the words of those clusters that gave the job back.
    reasons: Mapping[int, str]
    # Whose limit on what clusters hold keeps the job waiting; empty if none does.
    lack_of_room: str

    @classmethod
    def of(cls, job: Job, *, now: datetime) -> Self:
        """Takes at most ten queries, for any number of clusters."""
        clusters, gone = _in_reach(job)
        ids = [cluster.id for cluster in clusters]
        serves = Serves.objects.filter(queue_id=job.queue_id or _NO_ID, cluster_id__in=ids)
        served = {one.cluster_id: one for one in serves}
        # Facts may be long: they are read where the match that is kept does not tell it all.
        unsure = [id for id in ids if not (id in served and served[id].whole)]
        token = job.submitted_by_id or _NO_ID
        held = Streak.objects.filter(cluster_id__in=ids, credential_id=token, held_at__isnull=False)
        return cls(
            job=job,
            now=now,
            clusters=clusters,
            gone=gone,
            served=served,
            facts=parsed_facts.of(unsure),
            held={one.cluster_id: one for one in held},
            reasons=_reasons(job) if job.given_back else {},
            lack_of_room=lack_of_room(job.owner_id, job.project_id, job.nodes),
        )

    def hindrances(self, cluster: Cluster) -> list[Hindrance]:
        """Why the cluster would not be given the job if it asked as it did last, or does not ask; the gravest first."""
        if never := self._never(cluster):
            return [never]
        return [
            *self._paused(cluster),
            *self._held_back(cluster),
            *self._lacks_room(),
            *self._does_not_ask(cluster),
            *self._out_of_bounds(cluster),
            *self._not_yet(cluster),
        ]

    def _never(self, cluster: Cluster) -> Hindrance | None:
        if cluster.id in self.gone:
            return Hindrance(Outlook.MAY_NOT, f"is no longer in {self.job.cluster}")
        if why := self.job.given_back.get(str(cluster.id)):
            reason = f": {self.reasons[cluster.id]}" if self.reasons.get(cluster.id) else ""
            refused = why == Return.REFUSED.name
            text = f"refused it{reason}" if refused else "did not start it in time; others go first"
            return Hindrance(Outlook.MAY_NOT, text)
        if (facts := self.facts.get(cluster.id)) is not None and (lacking := self._miss(cluster, facts)):
            return Hindrance(Outlook.LACKS, f"cannot run it: it {lacking}")
        if cluster.id not in self.served:
            return Hindrance(Outlook.MAY_NOT, "may not take it until the server has put it into a queue")
        return None

    def _miss(self, cluster: Cluster, facts: Facts) -> str:
        wanted = {name: getattr(self.job, name) for name in DEMAND_FIELDS}
        return str(miss(demand_of(wanted, cluster.name), facts) or "")

    def _paused(self, cluster: Cluster) -> Iterator[Hindrance]:
        home = self.job.cluster
        if home.pool and home.paused_at:
            yield Hindrance(Outlook.PAUSED, f"may not take it now: {home} {_pause(home, home.paused_at, self.now)}")
        if cluster.paused_at:
            yield Hindrance(Outlook.PAUSED, _pause(cluster, cluster.paused_at, self.now))

    def _held_back(self, cluster: Cluster) -> Iterator[Hindrance]:
        streak = self.held.get(cluster.id)
        if streak and streak.held_at:
            token, since = self.job.submitted_by, in_words(self.now - streak.held_at)
            what = f"has held back the jobs of {token} for {since}: {streak.reason}"
            yield Hindrance(Outlook.HELD_BACK, f"{what}; `rainbow resume` lets them go on")

    def _lacks_room(self) -> Iterator[Hindrance]:
        if self.lack_of_room:
            yield Hindrance(Outlook.HELD_BACK, f"may not take it now: {self.lack_of_room}")

    def _does_not_ask(self, cluster: Cluster) -> Iterator[Hindrance]:
        asked_at = cluster.last_asked_at
        if cluster.not_ready:
            yield Hindrance(Outlook.NOT_READY, f"takes no jobs now: {cluster.not_ready}")
        if asked_at is None:
            yield Hindrance(Outlook.NEVER_ASKED, "has never asked for jobs")
        elif not asks(asked_at, now=self.now):
            yield Hindrance(Outlook.SILENT, f"last asked for jobs {in_words(self.now - asked_at)} ago")

    def _out_of_bounds(self, cluster: Cluster) -> Iterator[Hindrance]:
        bounds = Bounds.read(cluster.last_bounds)
        for limit in bounds.limits:
            if (wanted := getattr(self.job, limit.field)) > limit.most:
                unit = limit.unit.removesuffix("s") if limit.most == 1 else limit.unit
                offered = f"its last request offered {limit.most:,} {unit}"
                yield Hindrance(Outlook.FULL, f"is full: {offered}, and the job wants {wanted:,}")
        for key, value in bounds.labels.items():
            if self.job.labels.get(key) != value:
                yield Hindrance(Outlook.OTHER_LABELS, f"asked only for jobs labeled {key}={value}")

    def _not_yet(self, cluster: Cluster) -> Iterator[Hindrance]:
        due_at = self.job.submitted_at + timedelta(seconds=self.served[cluster.id].after_seconds)
        if self.now < due_at:
            left = timedelta(seconds=ceil((due_at - self.now).total_seconds()))
            yield Hindrance(Outlook.LATER, f"has its turn in {in_words(left)}")


def _in_reach(job: Job) -> tuple[list[Cluster], set[int]]:
    """In the order of the job's wish or else of its pool, and the ids of those that left the pool."""
    home = job.cluster
    if not home.pool:
        return [home], set()
    members = {one.cluster.name: one.cluster for one in members_by_pool([home.id])[home.id]}
    chosen = chosen_clusters(home.id, job) or tuple(members)
    left = Cluster.objects.filter(name__in=set(chosen) - members.keys(), pool=False).defer("facts")
    known = {**members, **{cluster.name: cluster for cluster in left}}
    return [known[name] for name in chosen if name in known], {cluster.id for cluster in left}


def _reasons(job: Job) -> dict[int, str]:
    back = JobEvent.objects.filter(job_id=job.id, what=What.REQUEUED, credential__isnull=False).order_by("-id")
    newest = back.values_list("credential__cluster_id", "why")[:_LOOKED_THROUGH]
    return dict(reversed(newest))


def _pause(paused: Cluster, at: datetime, now: datetime) -> str:
    by = f" by {paused.paused_by}" if paused.paused_by else ""
    return f"was paused {in_words(now - at)} ago{by}: {paused.paused_reason}"
