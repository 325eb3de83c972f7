"""Finding the jobs that the server gave to this agent without the agent knowing."""

import logging

from rainbow.agent.holdings import Held, Holdings
from rainbow.agent.post import Post
from rainbow.executors import Work
from rainbow.journal import Entry
from rainbow.records import Job, JobState

HELD_STATES = (JobState.ACCEPTED, JobState.RUNNING, JobState.LOST)

_log = logging.getLogger("rainbow.agent")


class Recovery:
    """`needed` at the start, and whenever the answer to an accept got lost."""

    def __init__(self, post: Post, holdings: Holdings) -> None:
        self._post = post
        self._holdings = holdings
        self.needed = True

    def step(self) -> bool:
        if not self.needed:
            return False
        asked_at = self._post.clock()
        ours = [job for job in self._post.client.list_jobs(states=HELD_STATES, page_size=1000) if self._is_new(job)]
        found = self._post.client.get_jobs([job.id for job in ours]).jobs if ours else ()
        jobs = {_entry(job).key: job for job in found if self._is_new(job) and job.state in HELD_STATES}
        for held in self._holdings.accepted(map(_entry, jobs.values()), renewed_at=asked_at):
            self._resume(held, jobs[held.key])
        self.needed = False
        return bool(jobs)

    def _is_new(self, job: Job) -> bool:
        return job.agent == self._post.habits.agent and _entry(job).key not in self._holdings

    def _resume(self, held: Held, job: Job) -> None:
        """Where the server knows more than the journal, the journal was lost: the scheduler is to say what is true."""
        _log.warning("found again job=%d state=%s", job.id, job.state)
        if not job.native_id:
            return
        self._holdings.submitting(held)
        held.unsure = True
        if job.native_id != held.key:
            self._holdings.submitted(held, job.native_id)


def _entry(job: Job) -> Entry:
    work = Work(
        command=job.command,
        nodes=job.nodes,
        tasks=job.tasks,
        time_limit_seconds=job.time_limit_seconds,
        environment=job.environment,
        working_directory=job.working_directory,
    )
    return Entry(jobid=job.id, attempt=job.attempt, work=work)
