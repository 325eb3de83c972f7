"""A fleet with a week of jobs behind it, to try the console and to measure with."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random

from django.db import transaction

from clusters.bounds import Bounds
from clusters.callers import Claim
from clusters.models import Cluster, Credential, CredentialKind
from clusters.services.authenticate import admit, note_visits
from clusters.services.credentials import create_credential
from clusters.services.facts import note_facts
from clusters.services.pause import pause_cluster
from clusters.services.register import register_cluster
from clusters.sql.moments import timestamp
from jobs.demo.fleet import POOL, POOL_JOBS, POOL_MEMBERS, WORK, Profile, facts_of, fleet_of
from jobs.demo.lives import Life, lives
from jobs.demo.people import grant_pool, stage_people
from jobs.events import activity_of
from jobs.leases import MAX_SECONDS
from jobs.queries.activity import KEPT
from jobs.queries.warnings import QUIET_AFTER
from jobs.services.mend import mend_allowances
from jobs.services.orders import Order
from jobs.services.placing import place_waiting_jobs
from jobs.services.pools import Member, create_pool
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec, columns_of
from jobs.sql.inserts import (
    activity_totals_added,
    beginning,
    counts_added,
    events_added,
    insert_labels,
    insert_whole_jobs,
)
from jobs.sql.statements import Columns, run_in_order
from jobs.states import JobState, Span, What
from rainbow.errors import FailedPrecondition

_BATCH = 5_000


def create_demo_data(*, clusters: int, jobs: int, now: datetime, seed: int = 1) -> None:
    """Fills an empty database with clusters (1 and up), people, and jobs of the last week, in all states.

    Raises FailedPrecondition when there are clusters.
    """
    if Cluster.objects.exists():
        raise FailedPrecondition("there are clusters in this database")
    fleet = fleet_of(clusters)
    credentials = {profile.name: _stage_cluster(profile, now) for profile in fleet}
    people = stage_people(credentials, now=now)
    pooled = POOL_JOBS if jobs > POOL_JOBS and credentials.keys() >= POOL_MEMBERS.keys() else 0
    week = islice(lives(fleet, jobs=jobs, now=now, random=Random(seed)), jobs - pooled)
    while batch := list(islice(week, _BATCH)):
        _stage_jobs(batch, credentials, people, now)
    if pooled:
        _stage_pool(now)
    while place_waiting_jobs(now=now):
        pass
    # The histories are written past what counts for persons and projects.
    mend_allowances()


def refresh_demo_requests(*, now: datetime) -> None:
    """Notes a request of each healthy cluster, as its agent would cause every few seconds."""
    number = Cluster.objects.filter(pool=False).count()
    well = [profile.name for profile in fleet_of(number) if profile.silent_for < QUIET_AFTER]
    found = Cluster.objects.filter(name__in=well)
    note_visits(used=[], asked={one.id: Bounds.read(one.last_bounds) for one in found}, now=now)


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
    note_facts(cluster_id=cluster.id, facts=facts_of(profile), by=None, now=begun)
    if profile.paused_for:
        paused_at = now - profile.paused_for
        pause_cluster(cluster_id=cluster.id, reason=profile.paused_reason, by=None, now=paused_at)
    return list(cluster.credentials.order_by("-kind", "id"))


def _stage_pool(now: datetime) -> None:
    """Adds a pool of the fleet, in which jobs wait."""
    members = [Member(cluster=name, after_seconds=seconds) for name, seconds in POOL_MEMBERS.items()]
    begun = now - timedelta(days=30)
    new = create_pool(name=POOL, members=members, by=None, reason="whichever GPU is free first", now=begun)
    grant_pool(POOL, now=begun)
    caller = admit(Claim(value=new.token.value), now=now)
    work = next(work for work in WORK if work.name == "train-unet")
    specs = [
        JobSpec(command=work.command.format(n=fold), name=work.name, nodes=1, tasks=8, labels={"project": work.project})
        for fold in range(POOL_JOBS)
    ]
    submit_jobs(orders=[Order(by=caller, cluster_id=new.pool.id, spec=spec) for spec in specs], now=now)
    note_visits(used=[caller.credential_id], asked={}, now=now)


@transaction.atomic
def _stage_jobs(
    batch: Sequence[Life],
    credentials: Mapping[str, list[Credential]],
    people: Mapping[str, Sequence[Credential]],
    now: datetime,
) -> None:
    """Of a project that people are in, each submits with their own token; others with a token of the cluster."""
    secrets = [credentials[life.profile.name][3] for life in batch]
    tokens = [people.get(life.work.project, credentials[life.profile.name][:3]) for life in batch]
    submitters = [held[life.number % len(held)] for life, held in zip(batch, tokens, strict=True)]
    specs = [_spec(life) for life in batch]
    ids = insert_whole_jobs(_job_columns(batch, specs, submitters, secrets, now))
    staged = list(zip(ids, batch, submitters, secrets, strict=True))
    insert_labels((job_id, spec.labels) for job_id, spec in zip(ids, specs, strict=True))
    counted = ((secret.home.id, life.state.value, life.priority) for _, life, _, secret in staged)
    activity = _activity(((life, secret.home.id) for _, life, _, secret in staged), now)
    added = [events_added(_event_columns(staged)), counts_added(Counter(counted)), activity_totals_added(activity)]
    run_in_order([statement for statements in added for statement in statements])


def _job_columns(
    batch: Sequence[Life],
    specs: Sequence[JobSpec],
    submitters: Sequence[Credential],
    secrets: Sequence[Credential],
    now: datetime,
) -> Columns:
    accepted = [life.when(What.ACCEPTED) for life in batch]
    held = [life.state in (JobState.ACCEPTED, JobState.RUNNING) for life in batch]
    return {
        "cluster_id": [secret.cluster_id for secret in secrets],
        "submitted_by_id": [token.id for token in submitters],
        "owner_id": [token.person_id for token in submitters],
        "project_id": [token.project_id for token in submitters],
        **columns_of(specs),
        "state": [life.state.value for life in batch],
        "attempt": [1] * len(batch),
        "agent": [f"{life.profile.name}-login1" if at else "" for life, at in zip(batch, accepted, strict=True)],
        "native_id": [str(80_000 + life.number) if at else "" for life, at in zip(batch, accepted, strict=True)],
        "exit_code": [life.exit_code for life in batch],
        "reason": [life.reason for life in batch],
        "output": [life.output for life in batch],
        "submitted_at": [timestamp(life.moments[0].at) for life in batch],
        "accepted_at": [_timestamp(at) for at in accepted],
        "started_at": [_timestamp(life.when(What.STARTED)) for life in batch],
        "finished_at": [_timestamp(life.when(What.ENDED, What.CANCELLED)) for life in batch],
        "lost_at": [_timestamp(life.when(What.LOST)) for life in batch],
        "lease_seconds": [MAX_SECONDS if one else None for one in held],
        "lease_expires_at": [_timestamp(now + timedelta(seconds=MAX_SECONDS)) if one else None for one in held],
        "cancel_requested_at": [_timestamp(life.when(What.CANCELLED)) for life in batch],
    }


def _spec(life: Life) -> JobSpec:
    work = life.work
    return JobSpec(
        command=work.command.format(n=life.number),
        name=work.name,
        nodes=life.nodes,
        tasks=life.nodes * work.tasks_per_node,
        priority=life.priority,
        time_limit_seconds=life.time_limit_seconds,
        environment=work.environment,
        working_directory=f"/scratch/{work.project}",
        labels={"project": work.project},
        **work.asks,
    )


def _timestamp(at: datetime | None) -> object:
    return timestamp(at) if at else None


def _event_columns(staged: Iterable[tuple[int, Life, Credential, Credential]]) -> Columns:
    events = [
        (job_id, moment, _credential_id(moment.what, submitter, secret))
        for job_id, life, submitter, secret in staged
        for moment in life.moments
    ]
    return {
        "job_id": [job_id for job_id, _, _ in events],
        "at": [timestamp(moment.at) for _, moment, _ in events],
        "what": [moment.what.value for _, moment, _ in events],
        "state": [moment.state.value for _, moment, _ in events],
        "attempt": [1] * len(events),
        "credential_id": [credential_id for _, _, credential_id in events],
        "operator_id": [None] * len(events),
        "why": [moment.why for _, moment, _ in events],
    }


def _credential_id(what: What, submitter: Credential, secret: Credential) -> int | None:
    return {What.SUBMITTED: submitter.id, What.CANCELLED: submitter.id, What.LOST: None}.get(what, secret.id)


def _activity(staged: Iterable[tuple[Life, int]], now: datetime) -> Counter[tuple[Span, datetime, int, str]]:
    """How many in each stretch that is still kept."""
    totals: Counter[tuple[Span, datetime, int, str]] = Counter()
    for life, cluster_id in staged:
        for moment in life.moments:
            what = activity_of(moment.what, moment.state)
            for span in Span:
                if what and now - moment.at < KEPT[span]:
                    totals[span, beginning(span, moment.at), cluster_id, what.value] += 1
    return totals
