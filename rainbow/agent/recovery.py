"""Finds the jobs that the server gave to this agent without the agent knowing."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from rainbow.agent.context import AgentContext
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.journal import Entry, Step, key_of
from rainbow.agent.journal_entries import failed_entry, recovered_entry
from rainbow.records import Job, JobState
from rainbow.telemetry.lines import Line

HELD_STATES = (JobState.ACCEPTED, JobState.RUNNING, JobState.LOST)
# No cluster holds so many; an endless list would keep the agent from its heartbeats.
MOST_LISTED = 100_000
LOST_TRACE = "the agent's journal was lost, and the scheduler knows no job of this name"

_log = logging.getLogger("rainbow.agent")


class Recovery:
    """`needed` at the start, and after an accept whose answer got lost."""

    def __init__(self, context: AgentContext, held_jobs: HeldJobs) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self.needed = True

    def step(self) -> bool:
        if not self.needed:
            return False
        asked_at = self._context.clock()
        jobs = self._unknown()
        native_ids = self._native_ids(jobs)
        entries = [_entry(job, native_ids.get(key_of(job.id, job.attempt))) for job in jobs]
        announced = {key_of(job.id, job.attempt) for job in jobs if job.native_id}
        for held in self._held_jobs.accepted(entries, renewed_at=asked_at):
            held.may_arrive = held.key in announced
            _log.warning(Line("found again", job=held.entry.jobid, step=held.entry.step.name.lower()))
        self.needed = False
        return bool(jobs)

    def _unknown(self) -> Sequence[Job]:
        listed = islice(self._context.client.list_jobs(states=HELD_STATES, page_size=1000), MOST_LISTED)
        ours = [job.id for job in listed if self._is_new(job)]
        found = self._context.client.get_jobs(ours).jobs if ours else ()
        return [job for job in found if self._is_new(job) and job.state in HELD_STATES]

    def _is_new(self, job: Job) -> bool:
        return job.agent == self._context.settings.agent and key_of(job.id, job.attempt) not in self._held_jobs

    def _native_ids(self, jobs: Sequence[Job]) -> Mapping[str, str]:
        """Where the server knows more than the journal, the journal was lost, and the scheduler is asked."""
        announced = [key_of(job.id, job.attempt) for job in jobs if job.native_id]
        return self._context.executor.find(announced) if announced else {}


def _entry(job: Job, native_id: str | None) -> Entry:
    """What the scheduler has is adopted. A job that it had and no longer knows would run twice if it got it again."""
    entry = recovered_entry(job)
    if native_id is not None:
        return replace(entry, step=Step.SUBMITTED, native_id=native_id, progress=None)
    if job.native_id not in ("", entry.key):
        return failed_entry(job.id, job.attempt, reason=LOST_TRACE)
    return entry
