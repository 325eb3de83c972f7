"""Long polling: a request for a queue that blocks until jobs arrive."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from clusters.bounds import Bounds
from clusters.callers import Caller
from jobs.metrics import OFFERED
from jobs.queries.news import news_since
from jobs.queries.pools import delays_by_pool
from jobs.queries.queue import LONG_TEXTS, QueuedJob, request_jobs
from jobs.rest.labels import DESCRIPTION, PATTERN, labels_from
from jobs.rest.stopping import STOPPING
from jobs.specs import MAX_INT, MAX_LABELS
from rainbow_site.web.rest.fields import Choice, Digits, Query, Text

# About as much as a gRPC message may hold.
MAX_BYTES = 4 * 1024 * 1024
_ABOUT_A_JOB = 300
MAX_WAIT_SECONDS = 60
WATCH_EVERY_SECONDS = 0.25
# A waiting call occupies one of the process's few threads.
MAX_WAITING = 3
_MAY_WAIT = threading.BoundedSemaphore(MAX_WAITING)


class QueueQuerySerializer(Query):
    max_jobs = Digits(min_value=0, max_value=MAX_INT, default=0, help_text="0 means as many as fit about 4 MiB")
    wait_seconds = Digits(
        min_value=0,
        max_value=MAX_WAIT_SECONDS,
        default=0,
        help_text="how long to block while no job waits; if too many calls wait already, it does not",
    )
    shared = Choice(
        [("true", "yes"), ("false", "no")],
        default="false",
        help_text="also jobs of pools that the cluster may take, and those with needs",
    )
    max_nodes = Digits(min_value=0, max_value=MAX_INT, default=0, help_text="0 means any, also for the next two")
    max_tasks = Digits(min_value=0, max_value=MAX_INT, default=0)
    max_cores = Digits(min_value=0, max_value=MAX_INT, default=0, help_text="cores in all; 0 means any")
    max_time_limit_seconds = Digits(min_value=0, max_value=MAX_INT, default=0)
    label = serializers.ListField(  # type: ignore[assignment]  # (a field, not the serializer's own label)
        child=Text(pattern=PATTERN), max_length=MAX_LABELS, default=list, help_text=DESCRIPTION
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRequest:
    """A request for a cluster's queue; `patience_seconds` is how long it may block."""

    bounds: Bounds
    limit: int
    shared: bool
    patience_seconds: int

    def jobs_for(self, caller: Caller) -> list[QueuedJob]:
        now = datetime.now(UTC)
        jobs = _that_fit(request_jobs(caller=caller, bounds=self.bounds, limit=self.limit, shared=self.shared, now=now))
        OFFERED.add(len(jobs), caller.cluster)
        return jobs

    def wait(self, admit_again: Callable[[], Caller]) -> list[QueuedJob]:
        """Blocks until jobs arrive or the time is over. Returns none at once if MAX_WAITING calls wait already."""
        if not self.patience_seconds or not _MAY_WAIT.acquire(blocking=False):
            return []
        try:
            return self._wait(admit_again)
        finally:
            _MAY_WAIT.release()

    def _wait(self, admit_again: Callable[[], Caller]) -> list[QueuedJob]:
        until = time.monotonic() + self.patience_seconds
        news = news_since(after=None)
        caller = admit_again()
        pools = delays_by_pool([caller.cluster_id])[caller.cluster_id] if self.shared else ()
        topics = {caller.cluster, *pools}
        jobs = self.jobs_for(caller)
        while not jobs and time.monotonic() < until and not STOPPING.wait(WATCH_EVERY_SECONDS):
            news = news_since(after=news)
            # Each time, so that a credential that was revoked ends the call.
            caller = admit_again()
            if topics & news.clusters:
                jobs = self.jobs_for(caller)
        # News may be seen out of order, and resuming a cluster makes none.
        return jobs or self.jobs_for(admit_again())


def queue_request_from(query: dict[str, Any]) -> QueueRequest:
    """Raises InvalidArgument."""
    bounds = Bounds(
        max_nodes=query["max_nodes"],
        max_tasks=query["max_tasks"],
        max_cores=query["max_cores"],
        max_time_limit_seconds=query["max_time_limit_seconds"],
        labels=labels_from(query["label"]),
    )
    return QueueRequest(
        bounds=bounds, limit=query["max_jobs"], shared=query["shared"] == "true", patience_seconds=query["wait_seconds"]
    )


def _that_fit(jobs: Iterable[QueuedJob]) -> list[QueuedJob]:
    fitting: list[QueuedJob] = []
    left = MAX_BYTES
    for job in jobs:
        left -= _size(job)
        if left < 0:
            break
        fitting.append(job)
    return fitting


def _size(job: QueuedJob) -> int:
    return _ABOUT_A_JOB + sum(_characters_in(getattr(job, name)) for name in LONG_TEXTS)


def _characters_in(value: str | tuple[str, ...] | Mapping[str, str]) -> int:
    if isinstance(value, Mapping):
        return sum(len(key) + len(text) for key, text in value.items())
    return len(value) if isinstance(value, str) else sum(map(len, value))
