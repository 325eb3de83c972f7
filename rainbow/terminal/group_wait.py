"""Waiting for groups of jobs: how far they are and what failed first, on standard error."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

from rainbow.client import Client
from rainbow.errors import NotFound, RainbowError
from rainbow.records import Job, JobGroup, JobState
from rainbow.retries import PATIENCE_SECONDS
from rainbow.terminal.following import step_of
from rainbow.terminal.group_news import GroupNews
from rainbow.terminal.groups import named, over, progress_of
from rainbow.terminal.output import complain
from rainbow.terminal.progress import SECONDS_BETWEEN_LINES, progress

# As many as a server tells of a group.
MOST_FAILURES = 10


def wait_for_group(client: Client, group: int, *, quiet: bool = False) -> JobGroup:
    """The group once it is finished. Raises NotFound. Interrupting the wait stops no job."""
    failures = _Failures()
    with named(group), _saying_that_it_goes_on(group):
        steps = client.watch_group(group, first_seconds=PATIENCE_SECONDS)
        last = next(steps)
        if quiet:
            return deque(chain([last], steps), maxlen=1)[0]
        with _progress(last) as show, GroupNews(client, show=show) as news:
            for now in chain([last], steps):
                failures.tell(now)
                news.note(now)
                last = now
    _tell_the_end(last)
    return last


def _tell_the_end(group: JobGroup) -> None:
    complain(progress_of(group))
    if group.counts.get(JobState.FAILED):
        failed = f"--group {group.id} --state failed"
        complain(f"`rainbow jobs {failed}` lists those that failed, `rainbow logs {failed}` prints what they wrote.")


@contextmanager
def _saying_that_it_goes_on(group: int) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        complain(f"Group {group} goes on without you; `rainbow cancel --group {group}` stops it.")
        raise
    except NotFound:
        raise
    except RainbowError as error:
        error.add_note(f"Group {group} goes on; `rainbow wait --group {group}` waits for it again.")
        raise


@contextmanager
def _progress(group: JobGroup) -> Iterator[Callable[[JobGroup], None]]:
    """A bar on a terminal, otherwise a line every 10 seconds, with the states that a bar has no room for."""
    if sys.stderr.isatty():
        with progress(group.members, quiet=False) as show:
            yield lambda now: show(over(now))
    else:
        yield _Lines().show


class _Lines:
    def __init__(self) -> None:
        self._told_at: float | None = None

    def show(self, group: JobGroup) -> None:
        now = time.monotonic()
        if group.finished_at is None and (self._told_at is None or now - self._told_at >= SECONDS_BETWEEN_LINES):
            self._told_at = now
            complain(progress_of(group))


class _Failures:
    """Tells of each of the first that failed once."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def tell(self, group: JobGroup) -> None:
        for job in group.failures:
            if job.id not in self._told and len(self._told) < MOST_FAILURES:
                self._told.add(job.id)
                complain(_failure(job))


def _failure(job: Job) -> str:
    member = f"Job {job.id}" if job.array_index is None else f"Job {job.id} (index {job.array_index})"
    return step_of(job).replace(f"Job {job.id}", member, 1)
