"""Reports of agents on the jobs that they hold."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from django.db import transaction

from clusters.callers import Actor, Caller
from clusters.facts import Facts
from clusters.services.facts import check_change_of_facts, note_facts
from clusters.services.pause import note_readiness, pause_cluster
from clusters.services.streaks import note_ends
from jobs.agents import check_name, check_place_of, may_report
from jobs.events import Step, record
from jobs.leases import Lease, lease_from
from jobs.models import Job
from jobs.notify import tell_all_calls_after_commit
from jobs.placement import BOUNDED
from jobs.reports import (
    AgentReport,
    Report,
    Reported,
    apply_report,
    attempt_end_of,
    check_agent_report,
    end_of,
    is_given_back,
    is_retried,
    stale,
)
from jobs.retries import AttemptEnd
from jobs.services.dependents import Settled, release_free, settle
from jobs.services.give_back import GivenBack, give_back
from jobs.services.retry import retry
from jobs.services.serving import facts_changed, lock_with_pools
from jobs.sql.reads import reasons_not_ready
from jobs.sql.statements import Row
from jobs.sql.updates import LEASE_COLUMNS, REPORTED_COLUMNS, in_parts, lock_to_report, renew_leases, write_reported
from jobs.states import HELD, What
from rainbow.errors import FailedPrecondition, InvalidArgument, RainbowError

# The jobs that are reported on, by cluster and id.
Key = tuple[int, int]
Jobs = Mapping[Key, Job]


def report_jobs(
    *,
    caller: Caller,
    agent: str,
    reports: Sequence[Report],
    lease_seconds: int = 0,
    not_ready: str = "",
    pause: str = "",
    hold_after: int = 0,
    facts: Facts | None = None,
    now: datetime,
) -> list[Reported]:
    """Applies an agent's reports on its jobs (up to 1,000) and renews their leases.

    Raises InvalidArgument, and FailedPrecondition for facts that change too often.
    """
    agent_report = AgentReport(
        caller=caller,
        agent=agent,
        reports=reports,
        lease_seconds=lease_seconds,
        not_ready=not_ready,
        pause=pause,
        hold_after=hold_after,
        facts=facts,
    )
    outcome = report_jobs_batch(agent_reports=[agent_report], now=now)[0]
    if isinstance(outcome, RainbowError):
        raise outcome
    return outcome


def report_jobs_batch(*, agent_reports: Sequence[AgentReport], now: datetime) -> list[list[Reported] | RainbowError]:
    """Applies many in one transaction, in their order; one that is refused changes nothing and fails alone.

    A report of an older attempt changes nothing. Late, repeated and reordered reports do no harm: a job never
    goes back from running to accepted, nor from its end anywhere. A result for each report, in their order.
    """
    leases = [_lease_or_refusal(one, now) for one in agent_reports]
    valid = [(one, lease) for one, lease in zip(agent_reports, leases, strict=True) if isinstance(lease, Lease)]
    results = iter(_apply_all(valid, now) if valid else [])
    return [next(results) if isinstance(lease, Lease) else lease for lease in leases]


def _lease_or_refusal(agent_report: AgentReport, now: datetime) -> Lease | RainbowError:
    try:
        _check_agent(agent_report)
        check_agent_report(agent_report)
        if agent_report.facts is not None:
            check_change_of_facts(cluster_id=agent_report.caller.cluster_id, facts=agent_report.facts, now=now)
        return lease_from(agent=agent_report.agent, seconds=agent_report.lease_seconds, now=now)
    except (InvalidArgument, FailedPrecondition) as error:
        return error


def _check_agent(agent_report: AgentReport) -> None:
    """Raises InvalidArgument."""
    check_place_of(agent_report.caller)
    check_name(agent_report.agent, agent_report.caller, required=True)
    if agent_report.caller.person_id is None:
        return
    for field in ("facts", "not_ready", "pause"):
        if getattr(agent_report, field):
            raise InvalidArgument("is only for the cluster's own agents to say", field=field)


@transaction.atomic
def _apply_all(valid: Sequence[tuple[AgentReport, Lease]], now: datetime) -> list[list[Reported]]:
    agent_reports = [one for one, _ in valid]
    jobs = _locked(agent_reports)
    before = {key: _columns_of(job) for key, job in jobs.items()}
    of_no_agent = [job for job in jobs.values() if job.project_id and job.state in HELD and not job.agent]
    steps: list[list[Step]] = [[] for _ in agent_reports]
    given_back: list[list[GivenBack]] = [[] for _ in agent_reports]
    retried: list[list[AttemptEnd]] = [[] for _ in agent_reports]
    left: dict[Key, Job | None] = dict(jobs)
    results = [
        _apply(*one, left, Taken(steps=mine, given_back=given, retried=again))
        for one, mine, given, again in zip(valid, steps, given_back, retried, strict=True)
    ]
    _write(jobs, before)
    settled = settle(chain.from_iterable(steps), now=now)
    _lock_clusters(agent_reports, chain.from_iterable(given_back), settled)
    _note_clusters(*_of_clusters(agent_reports, steps), jobs, now)
    for mine, given, again in zip(steps, given_back, retried, strict=True):
        mine += give_back(given, now=now)
        mine += retry(again, now=now)
    told: list[tuple[Step, Actor]] = [
        (step, one.caller) for one, mine in zip(agent_reports, steps, strict=True) for step in mine
    ]
    told += [(step, None) for step in (*settled.steps, *release_free(settled, now=now))]
    record(told, now=now, adopted=[job for job in of_no_agent if job.agent])
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What becomes of the jobs by one agent's report."""

    steps: list[Step]
    given_back: list[GivenBack]
    retried: list[AttemptEnd]


def _apply(agent_report: AgentReport, lease: Lease, jobs: dict[Key, Job | None], taken: Taken) -> list[Reported]:
    """A job that waits again is None in `jobs` from then on: what else is said of it in this transaction is late."""
    results = []
    for report in agent_report.reports:
        key = (agent_report.caller.cluster_id, report.job_id)
        job = jobs.get(key)
        if key in jobs and job is None:
            results.append(stale(report))
            continue
        if job and not may_report(agent_report.caller, job, attempt=report.attempt):
            job = None
        results.append(apply_report(job, report, lease, taken.steps))
        if job and report.returned and is_given_back(job, report):
            taken.given_back.append(GivenBack(job=job, why=report.returned, reason=report.reason))
            jobs[key] = None
        elif job and is_retried(job, report):
            taken.retried.append(attempt_end_of(job, report, now=lease.began_at))
            jobs[key] = None
    return results


def _locked(agent_reports: Iterable[AgentReport]) -> Jobs:
    """The jobs that are named, of the reporters' clusters, without their outputs: those may be long, and are replaced.

    They are locked in the order of their ids, also a job that only another cluster than its own names.
    """
    wanted = {(one.caller.cluster_id, report.job_id) for one in agent_reports for report in one.reports}
    clusters = {cluster_id for cluster_id, _ in wanted}
    found = (
        job for part in in_parts({job_id for _, job_id in wanted}) for job in lock_to_report(clusters, part, _READ)
    )
    return {(job.cluster_id, job.id): job for job in found}


_READ = (
    "id", "cluster_id", "attempt", "priority", "accepted_at", "cancel_requested_at", "submitted_by_id", "taken_from_id",
    "submitted_to_id", "given_back", "owner_id", "project_id", "retry_most", "retry_on", "retries", "group", *BOUNDED,
    *REPORTED_COLUMNS, *LEASE_COLUMNS,
)  # fmt: skip


def _write(jobs: Jobs, before: Mapping[Key, tuple[Row, Row]]) -> None:
    """Writes each job that changed. Most reports are heartbeats: those renew their leases in one statement."""
    changed: list[Row] = []
    renewed: dict[Row, list[int]] = {}
    for key, job in jobs.items():
        lease, said = _columns_of(job)
        if said != before[key][1]:
            changed.append((*lease, *said, job.id))
        elif lease != before[key][0]:
            renewed.setdefault(lease, []).append(job.id)
    write_reported(changed)
    for lease, ids in renewed.items():
        renew_leases(lease, ids)


def _columns_of(job: Job) -> tuple[Row, Row]:
    """The lease, and what reports change beside it."""
    unread = job.get_deferred_fields()
    output = None if "output" in unread else job.output
    files = None if "output_files" in unread else json.dumps(job.output_files)
    lease = tuple(getattr(job, column) for column in LEASE_COLUMNS)
    return lease, (*(getattr(job, column) for column in REPORTED_COLUMNS), output, files)


def _lock_clusters(agent_reports: Sequence[AgentReport], given_back: Iterable[GivenBack], settled: Settled) -> None:
    """Before any of them is locked alone: facts, and queues for what waits anew, lock the clusters of pools, too."""
    homes = {one.job.taken_from_id or one.job.cluster_id for one in given_back}
    homes |= {job.cluster_id for job in settled.free}
    if homes or any(one.facts is not None for one in agent_reports):
        lock_with_pools({*homes, *(one.caller.cluster_id for one in agent_reports)})


def _of_clusters(
    agent_reports: Sequence[AgentReport], steps: Sequence[list[Step]]
) -> tuple[list[AgentReport], list[list[Step]]]:
    """Those of the clusters' own agents. A person's says nothing of the cluster."""
    pairs = [pair for pair in zip(agent_reports, steps, strict=True) if pair[0].caller.person_id is None]
    return [one for one, _ in pairs], [mine for _, mine in pairs]


def _note_clusters(
    agent_reports: Sequence[AgentReport], steps: Sequence[list[Step]], jobs: Jobs, now: datetime
) -> None:
    """Of several reports of one cluster the last says whether it is ready and what it has; the first pauses it.

    In the lock order (docs/development.md): clusters come after jobs, by id.
    """
    last = {one.caller.cluster_id: one for one in agent_reports}
    pauses = {one.caller.cluster_id: one for one in reversed(agent_reports) if one.pause}
    known = reasons_not_ready(last)
    _note_facts(agent_reports, now)
    for cluster_id in sorted(known):
        if known[cluster_id] != last[cluster_id].not_ready:
            note_readiness(cluster_id=cluster_id, not_ready=last[cluster_id].not_ready)
        if cluster_id in pauses:
            _pause(pauses[cluster_id], now)
        for agent_report, mine in zip(agent_reports, steps, strict=True):
            if agent_report.caller.cluster_id == cluster_id:
                _note_ends(agent_report, mine, jobs, now)


def _note_ends(agent_report: AgentReport, steps: Iterable[Step], jobs: Jobs, now: datetime) -> None:
    cluster_id = agent_report.caller.cluster_id
    over = [jobs[cluster_id, step.job_id] for step in steps if step.what == What.ENDED]
    ends = [end for job in over if (end := end_of(job))]
    if ends:
        note_ends(cluster_id=cluster_id, ends=ends, hold_after=agent_report.hold_after, now=now)


def _note_facts(agent_reports: Sequence[AgentReport], now: datetime) -> None:
    told = {one.caller.cluster_id: (one.caller, one.facts) for one in agent_reports if one.facts is not None}
    changed = [
        cluster_id
        for cluster_id, (caller, facts) in told.items()
        if note_facts(cluster_id=cluster_id, facts=facts, by=caller, now=now)
    ]
    if changed:
        facts_changed(cluster_ids=changed)
        tell_all_calls_after_commit(changed)


def _pause(agent_report: AgentReport, now: datetime) -> None:
    # Another of the cluster's agents may have been quicker.
    with suppress(FailedPrecondition):
        pause_cluster(
            cluster_id=agent_report.caller.cluster_id,
            reason=agent_report.pause,
            by=agent_report.caller,
            agent=agent_report.agent,
            now=now,
        )
