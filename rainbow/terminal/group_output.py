"""What the members of a group wrote, one after the other in the order of their indexes."""

import time
from collections.abc import Iterator, Sequence

from rainbow.client import Client
from rainbow.errors import FailedPrecondition, RainbowError, Unimplemented
from rainbow.records import Job, JobState
from rainbow.terminal.groups import named
from rainbow.terminal.live_output import labeled, never_started, write_bytes
from rainbow.terminal.output import complain
from rainbow.terminal.silent_sites import SilentSites
from rainbow.text import on_one_line

LARGEST_PAGE = 1000
# The output on record is up to 64 KiB of each.
LOOKED_UP_AT_ONCE = 16
WAITING = (JobState.BLOCKED, JobState.QUEUED)


def members_of(client: Client, group: int, states: Sequence[JobState]) -> Iterator[Job]:
    """In full. Raises NotFound. Of all of them, no more than their numbers are in memory."""
    with named(group):
        client.get_group(group)
    listed = client.list_jobs(states=states, group=group, page_size=LARGEST_PAGE)
    # Those that have no index come last.
    order = sorted((job.array_index is None, job.array_index or 0, job.id) for job in listed)
    ids = [jobid for _, _, jobid in order]
    for start in range(0, len(ids), LOOKED_UP_AT_ONCE):
        yield from client.get_jobs(ids[start : start + LOOKED_UP_AT_ONCE]).jobs


def label_of(job: Job) -> str:
    return f"job {job.id}" if job.array_index is None else str(job.array_index)


class GroupOutput:
    """Prints it, each line with the member's label. An error in the middle of an output is raised."""

    def __init__(self, client: Client, *, stderr: bool, tail: bool) -> None:
        self._client = client
        self._stderr = stderr
        self._tail = tail
        self._silent = SilentSites()

    def print(self, members: Iterator[Job]) -> None:
        waiting = never = total = 0
        for job in members:
            total += 1
            never += never_started(job)
            if job.state in WAITING:
                waiting += 1
            elif self._tail or not job.agent or not self._is_streamed(job):
                self._print_tail(job)
        if not total:
            complain("No jobs.")
        if waiting:
            complain(f"{waiting:,} of {total:,} jobs have not started.")
        if never:
            complain(f"{never:,} of {total:,} jobs are over and never started.")

    def _is_streamed(self, job: Job) -> bool:
        if self._silent.has_that_of(job):
            return False
        began = time.monotonic()
        try:
            self._stream(job)
        except (FailedPrecondition, Unimplemented) as error:
            if self._silent.is_silent_now(job, error, after_seconds=time.monotonic() - began):
                complain(on_one_line(f"Of the jobs of {job.cluster} only the ends are known from here on: {error}."))
            elif job.output:
                complain(on_one_line(f"{label_of(job)}: only the end of the output is known: {error}."))
            return False
        except RainbowError:
            complain(f"{label_of(job)}: the output broke off, and with it those of the members after it.")
            raise
        return True

    def _stream(self, job: Job) -> None:
        label = label_of(job)
        for stderr in (True,) if self._stderr else (False, True):
            parts = self._client.read_output(job.id, stderr=stderr)
            write_bytes(labeled((part.data for part in parts), label), err=stderr and not self._stderr)

    def _print_tail(self, job: Job) -> None:
        write_bytes(labeled([job.output.encode()], label_of(job)))
        if job.output_is_cut:
            complain(f"{label_of(job)}: these are the last 64 KiB of the output.")
