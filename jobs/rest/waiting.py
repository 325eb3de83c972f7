"""Looking at a queue, and holding the answer back until there is something to see."""

import threading
import time
from typing import Any

from rest_framework import serializers

from clusters.callers import Bounds, Caller
from clusters.rest.fields import Text
from jobs.rest.stopping import STOPPING
from jobs.services import QueuedJob, Wanted, news_since, request_jobs
from jobs.specs import MAX_INT, check_labels
from rainbow.errors import InvalidArgument

# As much as a message of the gRPC door holds, near enough.
MAX_BYTES = 4 * 1024 * 1024
_ABOUT_A_JOB = 200
MAX_WAIT_SECONDS = 60
WATCH_EVERY_SECONDS = 0.25
# A waiting call keeps a thread. Agents should wait at the gRPC door, where waiting costs nothing.
_MAY_WAIT = threading.BoundedSemaphore(4)


class QueueQuerySerializer(serializers.Serializer[object]):
    max_jobs = serializers.IntegerField(
        min_value=0, max_value=MAX_INT, default=0, help_text="0 means all that fit some 4 MiB"
    )
    wait_seconds = serializers.IntegerField(
        min_value=0,
        max_value=MAX_WAIT_SECONDS,
        default=0,
        help_text="how long to hold an empty answer back; with several calls waiting, further ones are not held",
    )
    max_nodes = serializers.IntegerField(min_value=0, max_value=MAX_INT, default=0)
    max_tasks = serializers.IntegerField(min_value=0, max_value=MAX_INT, default=0)
    max_time_limit_seconds = serializers.IntegerField(min_value=0, max_value=MAX_INT, default=0)
    label = serializers.ListField(  # type: ignore[assignment]  # (a field, not the serializer's own label)
        child=Text(), default=list, help_text="key=value; only jobs that carry all of several"
    )


def bounds_from(query: dict[str, Any]) -> Bounds:
    """What the cluster said that it can take. Raises InvalidArgument."""
    labels = dict(_pair(text) for text in query["label"])
    check_labels(labels)
    return Bounds(
        max_nodes=query["max_nodes"],
        max_tasks=query["max_tasks"],
        max_time_limit_seconds=query["max_time_limit_seconds"],
        labels=labels,
    )


def look(caller: Caller, query: dict[str, Any]) -> list[QueuedJob]:
    """The jobs that a query asks for, waiting for the first of them as long as it says. Raises InvalidArgument."""
    bounds = bounds_from(query)
    wanted = Wanted(
        limit=query["max_jobs"],
        max_nodes=bounds.max_nodes,
        max_tasks=bounds.max_tasks,
        max_time_limit_seconds=bounds.max_time_limit_seconds,
        labels=bounds.labels,
    )
    jobs = _that_fit(caller, wanted)
    if jobs or not query["wait_seconds"] or not _MAY_WAIT.acquire(blocking=False):
        return jobs
    try:
        return _wait(caller, wanted, time.monotonic() + query["wait_seconds"])
    finally:
        _MAY_WAIT.release()


def _wait(caller: Caller, wanted: Wanted, until: float) -> list[QueuedJob]:
    news = news_since(after=None)
    jobs = _that_fit(caller, wanted)
    while not jobs and time.monotonic() < until and not STOPPING.wait(WATCH_EVERY_SECONDS):
        news = news_since(after=news.last)
        if caller.cluster in news.clusters:
            jobs = _that_fit(caller, wanted)
    return jobs


def _that_fit(caller: Caller, wanted: Wanted) -> list[QueuedJob]:
    jobs: list[QueuedJob] = []
    left = MAX_BYTES
    for job in request_jobs(caller=caller, wanted=wanted):
        left -= _ABOUT_A_JOB + len(job.command) + sum(map(len, job.environment.values()))
        if left < 0:
            break
        jobs.append(job)
    return jobs


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidArgument("must be key=value", field="label")
    return key, value
