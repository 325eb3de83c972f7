"""Setting a scene: a fleet with a week of jobs behind it, to look at and to measure with."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random

from django.db import transaction

from clusters.callers import Bounds
from clusters.models import Cluster, Credential, CredentialKind
from clusters.services.authenticate import note_visits
from clusters.services.credentials import create_credential
from clusters.services.pause import pause_cluster
from clusters.services.register import register_cluster
from jobs.demo.fleet import Profile, fleet_of
from jobs.demo.lives import Life, lives
from jobs.events import activity_of
from jobs.queries.activity import KEPT
from jobs.queries.warnings import QUIET_AFTER
from jobs.sql import (
    EVENT_COLUMNS,
    Row,
    add_activity_rows,
    add_counts,
    beginning,
    insert_events,
    insert_labels,
    insert_whole_jobs,
    timestamp,
)
from jobs.states import OnLost, Span, What
from rainbow.errors import FailedPrecondition

WHOLE_JOB_COLUMNS = (
    "cluster_id", "submitted_by_id", "name", "command", "nodes", "tasks", "priority", "time_limit_seconds",
    "environment", "working_directory", "labels", "on_lost", "state", "attempt", "agent", "native_id", "exit_code",
    "reason", "output", "submitted_at", "accepted_at", "started_at", "finished_at", "lost_at", "cancel_requested_at",
)  # fmt: skip
_BATCH = 5_000


def create_demo_data(*, clusters: int, jobs: int, now: datetime, seed: int = 1) -> None:
    """Fills an empty database with so many clusters (1 and up) and jobs of the last week, in all states.

    Raises FailedPrecondition when there are clusters.
    """
    if Cluster.objects.exists():
        raise FailedPrecondition("there are clusters in this database")
    fleet = fleet_of(clusters)
    credentials = {profile.name: _stage_cluster(profile, now) for profile in fleet}
    week = lives(fleet, jobs=jobs, now=now, random=Random(seed))
    while batch := list(islice(week, _BATCH)):
        _stage_jobs(batch, credentials, now)


def refresh_demo_requests(*, now: datetime) -> None:
    """Lets those clusters of the demo ask for jobs that are well, as their agents would every few seconds."""
    well = [profile.name for profile in fleet_of(Cluster.objects.count()) if profile.silent_for < QUIET_AFTER]
    found = Cluster.objects.filter(name__in=well)
    note_visits(
        used=[], asked={one.id: Bounds(max_nodes=one.last_bounds.get("max_nodes", 0)) for one in found}, now=now
    )


@transaction.atomic
def _stage_cluster(profile: Profile, now: datetime) -> list[Credential]:
    """Adds a cluster with the history of its profile, and returns its three tokens and its secret."""
    begun = now - timedelta(days=90)
    register_cluster(name=profile.name, offered_secret="", registration_secret="", now=begun)
    cluster = Cluster.objects.get(name=profile.name)
    for label, left in (("nightly-ci", timedelta(days=5)), ("portal", None)):
        expires_at = now + left if left and profile.share > 15 else None
        create_credential(
            cluster=cluster, kind=CredentialKind.TOKEN, label=label, by=None, now=begun, expires_at=expires_at
        )
    asked = {cluster.id: Bounds(max_nodes=profile.max_nodes)}
    used = list(cluster.credentials.values_list("id", flat=True))
    note_visits(used=used, asked=asked, now=now - profile.silent_for)
    if profile.paused_for:
        paused_at = now - profile.paused_for
        pause_cluster(cluster_id=cluster.id, reason=profile.paused_reason, by=None, now=paused_at)
    return list(cluster.credentials.order_by("-kind", "id"))


@transaction.atomic
def _stage_jobs(batch: Sequence[Life], credentials: dict[str, list[Credential]], now: datetime) -> None:
    owners = [credentials[life.profile.name][life.number % 3] for life in batch]
    secrets = [credentials[life.profile.name][3] for life in batch]
    ids = insert_whole_jobs(WHOLE_JOB_COLUMNS, [_row(*pair) for pair in zip(batch, owners, strict=True)])
    staged = list(zip(ids, batch, owners, secrets, strict=True))
    insert_labels([(job_id, "project", life.work.project) for job_id, life, _, _ in staged])
    insert_events([row for each in staged for row in _events(*each)])
    counted = ((owner.cluster_id, life.state.value, life.priority) for _, life, owner, _ in staged)
    add_counts(Counter(counted))
    add_activity_rows(_activity(((life, owner.cluster_id) for _, life, owner, _ in staged), now))


def _row(life: Life, owner: Credential) -> Row:
    work, accepted_at = life.work, life.when(What.ACCEPTED)
    return (
        owner.cluster_id, owner.id, work.name, work.command.format(n=life.number), life.nodes,
        life.nodes * work.tasks_per_node, life.priority, life.time_limit_seconds, json.dumps(work.environment),
        f"/scratch/{work.project}", json.dumps({"project": work.project}), OnLost.KEEP.value, life.state.value, 1,
        f"{life.profile.name}-login1" if accepted_at else "", str(80_000 + life.number) if accepted_at else "",
        life.exit_code, life.reason, life.output,
        *map(_timestamp, (
            life.moments[0].at, accepted_at, life.when(What.STARTED), life.when(What.ENDED, What.CANCELLED),
            life.when(What.LOST), life.when(What.CANCELLED),
        )),
    )  # fmt: skip


def _timestamp(at: datetime | None) -> object:
    return timestamp(at) if at else None


def _events(job_id: int, life: Life, owner: Credential, secret: Credential) -> Iterator[Row]:
    who = {What.SUBMITTED: owner.id, What.CANCELLED: owner.id, What.LOST: None}
    for moment in life.moments:
        credential = who.get(moment.what, secret.id)
        event = (job_id, timestamp(moment.at), moment.what.value, moment.state.value, 1, credential, None, moment.why)
        assert len(event) == len(EVENT_COLUMNS)
        yield event


def _activity(staged: Iterable[tuple[Life, int]], now: datetime) -> list[Row]:
    """One row for each stretch that is still kept."""
    totals: Counter[tuple[int, datetime, int, str]] = Counter()
    for life, cluster_id in staged:
        for moment in life.moments:
            what = activity_of(moment.what, moment.state)
            for span in Span:
                if what and now - moment.at < KEPT[span]:
                    totals[span.value, beginning(span, moment.at), cluster_id, what.value] += 1
    return [
        (span, timestamp(began_at), cluster_id, what, 0, jobs)
        for (span, began_at, cluster_id, what), jobs in sorted(totals.items())
    ]
