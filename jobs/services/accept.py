"""Accepting jobs."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from django.db import transaction

from clusters.callers import Caller
from jobs.agents import check_name, check_place_of
from jobs.events import Step, record
from jobs.leases import Lease, lease_from
from jobs.metrics import ACCEPTED, REFUSED
from jobs.models import Job, JobQuerySet
from jobs.room import forget_room, held_limits_exist
from jobs.services.room import Wish, without_room
from jobs.services.take import MaybeLease, Row, Rows, Taking, take_each
from jobs.services.turns import note_accepted
from jobs.services.withdrawn import cancel_withdrawn
from jobs.sight import taken_by
from jobs.sql.updates import Locked, in_parts, lock_jobs
from jobs.states import UNTAKEN, JobState, What
from rainbow.errors import NO_SUCH_JOB, InvalidArgument

MAX_IDS = 50_000


class RefusalReason(Enum):
    NOT_FOUND = NO_SUCH_JOB
    NOT_QUEUED = "the job is not in the queue"
    REPEATED = "the same call named this job before"
    PAUSED = "the cluster is paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    job_id: int
    attempt: int
    lease_expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    job_id: int
    reason: RefusalReason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    accepted: list[Accepted]
    refused: list[Refused]


def accept_jobs(
    *, caller: Caller, job_ids: Sequence[int], agent: str = "", lease_seconds: int = 0, now: datetime
) -> Acceptance:
    """Accepts those of the jobs that wait in the caller's cluster, and says of the others why not.

    With an agent's name, also of those that wait in a queue which the cluster serves.

    Raises InvalidArgument.
    """
    taking = Taking(caller=caller, job_ids=job_ids, agent=agent, lease_seconds=lease_seconds)
    outcome = accept_jobs_batch(takings=[taking], now=now)[0]
    if isinstance(outcome, InvalidArgument):
        raise outcome
    return outcome


def accept_jobs_batch(*, takings: Sequence[Taking], now: datetime) -> list[Acceptance | InvalidArgument]:
    """Serves many in one transaction, in their order; one that is refused changes nothing and fails alone.

    All that the answers hold is read before the commit: a failure after it would hide what was accepted.
    """
    leases = [_lease_or_refusal(taking, now) for taking in takings]
    limited = held_limits_exist()
    with transaction.atomic():
        locked = _lock(takings, leases)
        # Cancellations lock turns, and these are locked before allowances.
        withdrawn = _withdrawn(takings, leases, locked, [[] for _ in takings], now) if limited else []
        no_room = _no_room(takings, leases, now) if limited else {}
        taken = take_each(takings, leases, locked, no_room, now)
        withdrawn = withdrawn if limited else _withdrawn(takings, leases, locked, taken, now)
        outcomes = _answers(takings, leases, locked, taken, no_room)
        steps = [
            (_step(taking, row), taking.caller) for taking, rows in zip(takings, taken, strict=True) for row in rows
        ]
        record([*steps, *((step, None) for step in withdrawn)], now=now)
        note_accepted((row.queue, row.turn) for rows in taken for row in rows)
    if limited:
        forget_room()
    for taking, outcome, rows in zip(takings, outcomes, taken, strict=True):
        _count(taking, outcome, accepted=len(rows))
    return outcomes


def _count(taking: Taking, outcome: Acceptance | InvalidArgument, *, accepted: int) -> None:
    cluster = taking.caller.cluster
    ACCEPTED.add(accepted, cluster)
    if isinstance(outcome, Acceptance) and outcome.refused:
        for reason, jobs in Counter(refused.reason for refused in outcome.refused).items():
            REFUSED.add(jobs, cluster, reason.name.lower())


def _lease_or_refusal(taking: Taking, now: datetime) -> MaybeLease:
    try:
        _check(taking)
        return lease_from(agent=taking.agent, seconds=taking.lease_seconds, now=now) if taking.agent else None
    except InvalidArgument as error:
        return error


def _check(taking: Taking) -> None:
    if not taking.job_ids:
        raise InvalidArgument("one or more jobs must be accepted")
    if len(taking.job_ids) > MAX_IDS:
        raise InvalidArgument(f"must be at most {MAX_IDS:,} ids, not {len(taking.job_ids):,}", field="jobids")
    check_place_of(taking.caller)
    check_name(taking.agent, taking.caller)
    if taking.lease_seconds and not taking.agent:
        raise InvalidArgument("needs an agent's name", field="lease_seconds")


def _lock(takings: Sequence[Taking], leases: Sequence[MaybeLease]) -> dict[int, Locked]:
    good = [taking for taking, lease in zip(takings, leases, strict=True) if not isinstance(lease, InvalidArgument)]
    clusters = {taking.caller.cluster_id for taking in good}
    return lock_jobs(sorted(clusters), (id for taking in good for id in taking.job_ids)) if good else {}


def _no_room(takings: Sequence[Taking], leases: Sequence[MaybeLease], now: datetime) -> dict[int, str]:
    wishes = [
        Wish(
            cluster_id=taking.caller.cluster_id,
            job_ids=taking.job_ids,
            shared=lease is not None,
            within=taken_by(taking.caller),
        )
        for taking, lease in zip(takings, leases, strict=True)
        if not isinstance(lease, InvalidArgument) and not taking.caller.paused
    ]
    return without_room(wishes, now)


def _withdrawn(
    takings: Sequence[Taking],
    leases: Sequence[MaybeLease],
    locked: Mapping[int, Locked],
    taken: Sequence[Rows],
    now: datetime,
) -> list[Step]:
    # Agents of one cluster often name the same jobs at a time: what another has just taken no longer waits.
    gone = {row.job_id for rows in taken for row in rows}
    waiting = {job.id for job in locked.values() if job.project_id and job.state in UNTAKEN} - gone
    return [
        step
        for taking, lease in zip(takings, leases, strict=True)
        if not isinstance(lease, InvalidArgument)
        for step in _cancel_withdrawn(taking, waiting.intersection(taking.job_ids), now)
    ]


def _cancel_withdrawn(taking: Taking, job_ids: set[int], now: datetime) -> list[Step]:
    if not job_ids or taking.caller.paused:
        return []
    return cancel_withdrawn(cluster_id=taking.caller.cluster_id, job_ids=job_ids, now=now)


def _answers(
    takings: Sequence[Taking],
    leases: Sequence[MaybeLease],
    locked: Mapping[int, Locked],
    taken: Sequence[Rows],
    no_room: Mapping[int, str],
) -> list[Acceptance | InvalidArgument]:
    """In the order of the calls: what one took is held when the next is answered, which may be the same agent's."""
    held = {job.id: job.agent for job in locked.values() if job.state == JobState.ACCEPTED}
    held |= {row.job_id: taking.agent for taking, rows in zip(takings, taken, strict=True) for row in rows}
    return [
        lease if isinstance(lease, InvalidArgument) else _acceptance(taking, lease, locked, held, rows, no_room)
        for taking, lease, rows in zip(takings, leases, taken, strict=True)
    ]


def _acceptance(
    taking: Taking,
    lease: Lease | None,
    locked: Mapping[int, Locked],
    held: Mapping[int, str],
    taken: Rows,
    no_room: Mapping[int, str],
) -> Acceptance:
    if taking.caller.paused:
        return Acceptance(accepted=[], refused=[_refused(id, RefusalReason.PAUSED) for id in taking.job_ids])
    accepted = {id: _accepted(id, attempt, lease) for id, attempt, *_ in taken}
    distinct = list(dict.fromkeys(taking.job_ids))
    if len(accepted) < len(distinct):
        mine = {id for id in distinct if id not in accepted and held.get(id) == taking.agent}
        accepted |= _renew(taking.caller, mine, lease)
    return Acceptance(
        accepted=[accepted[id] for id in distinct if id in accepted],
        refused=_refusals(taking.caller, taking.job_ids, locked, accepted.keys(), no_room),
    )


def _step(taking: Taking, row: Row) -> Step:
    return Step(
        job_id=row.job_id,
        cluster_id=taking.caller.cluster_id,
        from_cluster_id=row.from_cluster_id,
        priority=row.priority,
        attempt=row.attempt,
        what=What.ACCEPTED,
        before=JobState.QUEUED,
        after=JobState.ACCEPTED,
        why=f"by {taking.agent}" if taking.agent else "",
        owner_id=row.owner_id,
        project_id=row.project_id,
        nodes=row.nodes,
        leased=bool(taking.agent),
        group=row.group,
    )


def _accepted(job_id: int, attempt: int, lease: Lease | None) -> Accepted:
    return Accepted(job_id=job_id, attempt=attempt, lease_expires_at=lease.expires_at if lease else None)


def _renew(caller: Caller, job_ids: set[int], lease: Lease | None) -> dict[int, Accepted]:
    """What this agent accepted before: the answer to its first call was lost."""
    held: dict[int, Accepted] = {}
    if lease is None:
        return held
    for part in in_parts(job_ids):
        mine = _of(caller).filter(id__in=part, cluster_id=caller.cluster_id, state=JobState.ACCEPTED, agent=lease.agent)
        mine.update(lease_seconds=lease.seconds, lease_expires_at=lease.expires_at)
        held.update({id: _accepted(id, attempt, lease) for id, attempt in mine.values_list("id", "attempt")})
    return held


def _of(caller: Caller) -> JobQuerySet:
    within = taken_by(caller)
    return Job.objects.filter(within.within) if within else Job.objects.all()


def _refusals(
    caller: Caller,
    job_ids: Sequence[int],
    locked: Mapping[int, Locked],
    accepted: Container[int],
    no_room: Mapping[int, str],
) -> list[Refused]:
    missing = {id for id in job_ids if id not in accepted}
    known = set() if taken_by(caller) else {id for id in missing if _is_in(caller.cluster_id, locked.get(id))}
    # What is not locked is in the reach of no cluster of this batch.
    for part in in_parts((missing - known) & locked.keys()):
        within = _of(caller).filter(id__in=part).in_reach_of(caller.cluster_id)
        known.update(within.values_list("id", flat=True))
    refused, seen = [], set[int]()
    for id in job_ids:
        if id in seen:
            refused.append(_refused(id, RefusalReason.REPEATED))
        elif id in missing:
            refused.append(_not_accepted(id, no_room) if id in known else _refused(id, RefusalReason.NOT_FOUND))
        seen.add(id)
    return refused


def _is_in(cluster_id: int, job: Locked | None) -> bool:
    return job is not None and job.cluster_id == cluster_id


def _not_accepted(job_id: int, no_room: Mapping[int, str]) -> Refused:
    reason = RefusalReason.NOT_QUEUED
    return Refused(job_id=job_id, reason=reason, message=no_room.get(job_id, reason.value))


def _refused(job_id: int, reason: RefusalReason) -> Refused:
    return Refused(job_id=job_id, reason=reason, message=reason.value)
