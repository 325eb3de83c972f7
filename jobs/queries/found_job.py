"""Jobs as answers and pages show them, read without instances of models: lists hold many."""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from clusters.sql.moments import as_datetime
from jobs.models import JobAttempt, JobEvent, said_key
from jobs.output_files import OutputFiles, from_document
from jobs.queries.reply_size import ANSWER_BYTES, OUTPUTS
from jobs.sight import Sight
from jobs.specs import MOMENTS, SPEC_FIELDS, UNLISTED_FIELDS, JobSpec, values_read
from jobs.sql.reads import found_rows, listed_jobs, versions_of_jobs
from jobs.sql.statements import Row
from jobs.states import FINAL, JobState, OnLost


class Submitter(NamedTuple):
    """The credential that a job was submitted with."""

    id: int
    label: str


# Not frozen: that makes construction three times slower.
@dataclass(slots=True, kw_only=True)
class FoundJob(JobSpec):
    """A job with all that is shown of it. Brief ones have neither output nor UNLISTED_FIELDS, and no events.

    `attempts` are the earlier ones.
    """

    id: int
    cluster_id: int
    cluster: str
    # The pool that its cluster took it from; empty where there is none.
    pool: str
    submitted_by: Submitter | None
    # The person whose it is, and the project that it counts for; empty of jobs of a cluster's token.
    owner: str
    project: str
    state: JobState
    attempt: int
    agent: str
    native_id: str
    exit_code: int | None
    # The value of an EndCause, or empty.
    end_cause: str
    reason: str
    output: str = ""
    submitted_at: datetime
    accepted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    lost_at: datetime | None
    cancel_requested_at: datetime | None
    lease_expires_at: datetime | None
    retry_at: datetime | None
    events: Sequence[JobEvent] = ()
    attempts: Sequence[JobAttempt] = ()
    resubmissions: Sequence[int] = ()
    output_files: OutputFiles | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL


TIMES = (
    *MOMENTS, "submitted_at", "accepted_at", "started_at", "finished_at", "lost_at",
    "lease_expires_at", "cancel_requested_at", "retry_at",
)  # fmt: skip
# What is read of other tables, beside the columns.
_NAMES = ("cluster", "pool", "credential_id", "label", "owner", "project")
_JOINED = ("cluster", "pool", "submitted_by", "owner", "project", "events", "attempts", "resubmissions")
_WHOLE = tuple(item.name for item in fields(FoundJob) if item.name not in _JOINED)
_BRIEF = tuple(name for name in _WHOLE if name not in (*UNLISTED_FIELDS, *OUTPUTS))
_SAID = tuple(name for name in _WHOLE if name not in OUTPUTS)
# Of what its submitter said of a job only the priority changes.
_CHANGES = ("priority", *(name for name in _BRIEF if name not in (*SPEC_FIELDS, "id", "cluster_id")))
# What differs between jobs that are submitted together, and what mostly does not.
_OWN = ("name", "command", "labels", "array_index", "idempotency_key", "inputs")
_ALIKE = tuple(name for name in _BRIEF if name in SPEC_FIELDS and name not in (*_OWN, *_CHANGES))


def read_jobs(ids: Sequence[int], *, sight: Sight | None, brief: bool) -> dict[int, FoundJob]:
    """Those of these jobs that are within sight (None: all), by id."""
    return _read_columns(ids, _BRIEF if brief else _WHOLE, sight)


def read_jobs_without_outputs(ids: Sequence[int], *, sight: Sight | None) -> dict[int, FoundJob]:
    return _read_columns(ids, _SAID, sight)


def _read_columns(ids: Sequence[int], columns: Sequence[str], sight: Sight | None) -> dict[int, FoundJob]:
    found = (_read(columns, row) for row in found_rows(ids, columns=columns, sight=sight))
    return {job.id: job for job in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Brief jobs as the database has them, for lists that are written out as they are: what differs column by column,
    and for each job the rest, one mapping for all in which that is the same.

    `versions` are of the same moment (read_versions).
    """

    ids: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    rest: Sequence[Mapping[str, Any]]
    versions: Sequence[str]


def read_listed(ids: Sequence[int], *, leaving_out: Container[str]) -> Listed:
    """Those of these jobs that are there, in the order of the ids, which rise or fall, as many as fit one answer.

    What is left out is None.
    """
    alike = tuple(name for name in _ALIKE if name not in leaving_out)
    own = tuple(name for name in _OWN if name not in leaving_out)
    unread = dict.fromkeys(name for name in (*_ALIKE, *_OWN) if name in leaving_out)
    found = listed_jobs(ids, alike=alike, own=own, changing=_CHANGES, most_bytes=ANSWER_BYTES)
    if not found.ids:
        return Listed(ids=(), columns={}, rest=(), versions=())
    said = {
        array: {**dict(zip(alike, values, strict=True)), **unread} for array, values in _read_once(found.alike).items()
    }
    columns = [found.ids, *_columns(found.own), *_columns(found.changing)]
    return Listed(
        ids=found.ids,
        columns=dict(zip(("id", *own, *_CHANGES, *_NAMES), columns, strict=True)),
        rest=[said[array] for array in found.alike],
        versions=found.changing,
    )


def _columns(arrays: Sequence[str]) -> Iterable[Sequence[Any]]:
    return zip(*map(_read_once(arrays).__getitem__, arrays), strict=True)


def _read_once(arrays: Sequence[str]) -> dict[str, list[Any]]:
    """Jobs that were submitted together have much in common."""
    distinct = list(dict.fromkeys(arrays))
    return dict(zip(distinct, json.loads(f"[{','.join(distinct)}]"), strict=True))


def read_versions(ids: Sequence[int]) -> list[str]:
    """Of those of these jobs that are there, in their order: a text that differs once anything shown of it does."""
    found = versions_of(ids)
    return [found[job_id] for job_id in ids if job_id in found]


def versions_of(ids: Sequence[int]) -> dict[int, str]:
    """The same by id, in any order."""
    return versions_of_jobs(ids, columns=_CHANGES) if ids else {}


def _read(columns: Sequence[str], row: Row) -> FoundJob:
    *said, cluster, pool, credential_id, label, owner, project = row
    values = values_read(dict(zip(columns, said, strict=True)))
    for name in TIMES:
        values[name] = as_datetime(values[name])
    if "output_files" in values:
        values["output_files"] = from_document(json.loads(values["output_files"] or "null"))
    values["state"] = JobState(values["state"])
    values["on_lost"] = OnLost(values["on_lost"])
    values["idempotency_key"] = said_key(values["idempotency_key"] or "")
    submitted_by = None if credential_id is None else Submitter(credential_id, label)
    names = {"cluster": cluster, "pool": pool or "", "owner": owner or "", "project": project or ""}
    return FoundJob(**values, **names, submitted_by=submitted_by)
