"""What the end of a job or a group does to the jobs that wait for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction
from django.db.models import F

from jobs.after import Wants
from jobs.events import Step, record
from jobs.left_to_do import Work, tell_of_work_after_commit
from jobs.models import Job
from jobs.services.release import release
from jobs.sql.dependencies import (
    GROUPS,
    JOBS,
    Dependency,
    Parents,
    cancel_blocked,
    dependents_of,
    ended_parents,
    ends_noted,
    forget_ends,
    note_missed_ends,
    notes_exist,
    take_dependencies,
)
from jobs.sql.statements import run_in_order
from jobs.states import FINAL, JobState, What

# The jobs that a transaction which ends others settles itself, and one that does nothing else.
AT_ONCE = 100
BATCH = 1_000
_PARENTS = 100
_RELEASED = "what it waited for has ended"


@dataclass(slots=True, kw_only=True)
class Settled:
    """`steps` of the jobs that were cancelled, and the jobs that nothing blocks any more, which are still blocked."""

    steps: list[Step] = field(default_factory=list)
    free: list[Job] = field(default_factory=list)
    jobs: int = 0


def settle(steps: Iterable[Step], *, now: datetime) -> Settled:
    """Settles the first of the jobs that wait for those that ended in these steps.

    Call it before places 3 and later of the lock order, and `release` for the jobs that are free. `record` notes those
    jobs that others still wait for, which `settle_ended_parents` does later.
    """
    settled = Settled()
    _settle(JOBS, {step.job_id: step.after for step in steps if step.ended}, AT_ONCE, settled, now)
    return settled


def settle_and_release(steps: Iterable[Step], *, now: datetime) -> list[Step]:
    """The same, and releases those that are free; returns the steps to record."""
    settled = settle(steps, now=now)
    return [*settled.steps, *release_free(settled, now=now)]


def release_free(settled: Settled, *, now: datetime) -> list[Step]:
    return release(settled.free, now=now, why=_RELEASED) if settled.free else []


def settle_group(*, group_id: int, outcome: JobState, now: datetime) -> None:
    """The same for a group that is finished in this transaction, last in it."""
    settled = Settled()
    _settle(GROUPS, {group_id: outcome}, AT_ONCE, settled, now)
    run_in_order([ends_noted(GROUPS, [group_id])])
    _record(settled, now)


def some_have_ended() -> bool:
    return notes_exist()


@transaction.atomic
def settle_ended_parents(*, now: datetime) -> int:
    """Settles up to 1,000 of the jobs that wait for what has ended; returns how many.

    Several servers may do so at once. A crash at any line leaves what was committed before, and the notes of the rest.
    """
    settled = Settled()
    for parents in (JOBS, GROUPS):
        ended = {id: JobState(state) for id, state in ended_parents(parents, limit=_PARENTS)}
        _settle(parents, ended, BATCH, settled, now)
        forget_ends(parents, ended.keys())
    _record(settled, now)
    return settled.jobs


@transaction.atomic
def look_for_missed_ends() -> int:
    return sum(note_missed_ends(parents) for parents in (JOBS, GROUPS))


def _record(settled: Settled, now: datetime) -> None:
    steps = [*settled.steps, *release_free(settled, now=now)]
    record([(step, None) for step in steps], now=now)


def _settle(parents: Parents, ended: Mapping[int, JobState], most: int, settled: Settled, now: datetime) -> None:
    """Goes on with the jobs that wait for what this cancels."""
    while ended and settled.jobs < most:
        ended = _settle_next(parents, ended, most - settled.jobs, settled, now)
        parents = JOBS


def _settle_next(
    parents: Parents, ended: Mapping[int, JobState], most: int, settled: Settled, now: datetime
) -> dict[int, JobState]:
    """Settles those that wait for these, and returns the jobs that it cancelled."""
    waiting = dependents_of(parents, ended.keys(), limit=most)
    if not waiting:
        return {}
    # What another transaction holds is skipped: this one may hold jobs of higher ids.
    found = Job.objects.filter(id__in=waiting).defer("output", "command", "environment").order_by("id")
    jobs = {job.id: job for job in found.select_for_update(skip_locked=True)}
    taken: dict[int, list[Dependency]] = {}
    for one in take_dependencies(parents, ended.keys(), job_ids=jobs.keys()):
        taken.setdefault(one.job_id, []).append(one)
    settled.jobs += len(taken)
    blocked = {job_id: its for job_id, its in taken.items() if jobs[job_id].state == JobState.BLOCKED}
    reasons = {job_id: reason for job_id, its in sorted(blocked.items()) if (reason := _why_never(parents, its, ended))}
    _cancel([jobs[job_id] for job_id in reasons], reasons, settled, now)
    _count_down({jobs[job_id]: len(its) for job_id, its in blocked.items() if job_id not in reasons}, settled)
    return dict.fromkeys(reasons, JobState.CANCELLED)


def _why_never(parents: Parents, dependencies: Iterable[Dependency], ended: Mapping[int, JobState]) -> str:
    for one in sorted(dependencies):
        wants, state = Wants(one.wants), ended[one.parent_id]
        if not wants.is_met_by(state):
            return why_never(f"{'group' if parents is GROUPS else 'job'} {one.parent_id}", wants, state)
    return ""


def why_never(parent: str, wants: Wants, state: JobState) -> str:
    """Tells of the parent no more than that: not all who see the job may see the parent."""
    ended = "was handed over for good, so that its end will not be known"
    if state in FINAL:
        ended = f"ended without {'completing' if wants == Wants.OK else 'failing'}"
    return f"{parent} {ended}; this job was to run once that had {wants.label}"


def _cancel(jobs: Sequence[Job], reasons: Mapping[int, str], settled: Settled, now: datetime) -> None:
    if not jobs:
        return
    cancel_blocked([(job.id, reasons[job.id]) for job in jobs], now=now)
    settled.steps += [replace(Step.of(job, What.CANCELLED, JobState.CANCELLED), why=reasons[job.id]) for job in jobs]


def _count_down(met: Mapping[Job, int], settled: Settled) -> None:
    by_number: dict[int, list[int]] = {}
    for job, number in met.items():
        job.unmet -= number
        if job.unmet or job.held_by_group:
            by_number.setdefault(number, []).append(job.id)
        else:
            settled.free.append(job)
    next_in_groups = {job.group for job in met if job.held_by_group and not job.unmet}
    tell_of_work_after_commit(Work.GROUPS, next_in_groups)
    for number, job_ids in by_number.items():
        Job.objects.filter(id__in=job_ids).update(unmet=F("unmet") - number)
