"""The steps of jobs as spans of the traces that their submissions began, where traces are on."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

from django.db import Error, connection, transaction

from jobs.models import Job
from jobs.states import JobState, What
from rainbow.telemetry import traces
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# Of a call with more jobs only these: a span takes 40 us, in which all other writers wait.
MOST_SPANS = 100
_log = logging.getLogger("rainbow.traces")


class Traced(Protocol):
    @property
    def job_id(self) -> int: ...
    @property
    def what(self) -> What: ...
    @property
    def after(self) -> JobState: ...
    @property
    def attempt(self) -> int: ...


def traceparents_of(job_ids: Iterable[int]) -> dict[int, str]:
    """The spans of the calls that submitted these jobs, of those that have any; none where traces are off.

    Never raises: what was committed before has to be answered, with spans or without.
    """
    if not traces.are_on():
        return {}
    found = Job.objects.filter(id__in=list(job_ids), traceparent__isnull=False)
    try:
        return {job_id: traceparent or "" for job_id, traceparent in found.values_list("id", "traceparent")}
    except Error as error:
        _log.warning(Line("could not read the spans of jobs", error=Quoted(told(error))))
        # What failed here would fail the next call on this connection as well.
        connection.close()
        return {}


def trace_after_commit(steps: Iterable[Traced], *, now: datetime) -> None:
    if not traces.are_on():
        return
    first = list(islice(steps, MOST_SPANS))

    # A function with a name, which Django needs to tell of a failure.
    def tell() -> None:
        _tell(first, now)

    transaction.on_commit(tell, robust=True)


def _tell(steps: Sequence[Traced], now: datetime) -> None:
    parents = traceparents_of(step.job_id for step in steps)
    for step in steps:
        if parent := parents.get(step.job_id):
            name = f"job {step.what.label}"
            facts = {"job": step.job_id, "attempt": step.attempt, "state": step.after.value}
            traces.begin(name, "internal", parent=parent, at=now, **facts).end(at=now)
