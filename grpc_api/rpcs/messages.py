"""Translation between protobuf messages and what services take and return."""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from clusters.bounds import Bounds
from clusters.models import CredentialKind, Streak
from jobs.models import JobAttempt, JobEvent
from jobs.outcomes import CancelOutcome, SignalOutcome
from jobs.output_files import OutputFile, OutputFiles
from jobs.queries.explain import Prospect
from jobs.queries.found_job import TIMES, FoundJob
from jobs.queries.groups import FoundGroup
from jobs.queries.queue import KEPT_JOBS, KeptJob, QueuedJob
from jobs.reports import Report, ReportOutcome, Return
from jobs.services.accept import RefusalReason
from jobs.specs import DESCRIPTION_FIELDS, INDEXES, LISTS, MAPPINGS, MOMENTS, SPEC_FIELDS, UNLISTED_FIELDS, JobSpec
from jobs.states import FINAL, EndCause, JobState, OnLost
from rainbow.errors import InvalidArgument, LimitReached, RainbowError
from rainbow.protos import rainbow_pb2 as pb

T = TypeVar("T")
M = TypeVar("M", bound=Message)

# What a client accepts by default. Replies stay below it, with room for their other fields.
MESSAGE_LIMIT = 4 * 1024 * 1024
REPLY_BUDGET = MESSAGE_LIMIT - 16 * 1024
# The key, the id twice, lengths and tags of one entry of RequestJobsResponse.
_ENTRY_BYTES = 32

_write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# The original escapes these for HTML and JavaScript.
_JSON_ESCAPES = {mark: f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}
_ESCAPED = re.compile(f"[{''.join(_JSON_ESCAPES)}]")

_CAUSES = {cause.value: pb.EndCause.Value(f"END_CAUSE_{cause.name}") for cause in EndCause}
_CAUSES_BACK = {number: EndCause(cause) for cause, number in _CAUSES.items()}
STATES = {state: pb.JobState.Value(f"JOB_STATE_{state.name}") for state in JobState}
_STATES_BACK = {number: state for state, number in STATES.items()}
_ON_LOST = {OnLost.KEEP: pb.ON_LOST_KEEP, OnLost.REQUEUE: pb.ON_LOST_REQUEUE}
_ON_LOST_BACK = {pb.ON_LOST_UNSPECIFIED: OnLost.KEEP, **{number: wish for wish, number in _ON_LOST.items()}}
_KINDS = {
    pb.CREDENTIAL_KIND_TOKEN: CredentialKind.TOKEN,
    pb.CREDENTIAL_KIND_SECRET: CredentialKind.SECRET,
}
KINDS_ON_THE_WIRE = {
    **{kind: number for number, kind in _KINDS.items()},
    CredentialKind.PERSONAL: pb.CREDENTIAL_KIND_PERSONAL,
    CredentialKind.PROJECT: pb.CREDENTIAL_KIND_PROJECT,
}
_RETURNS = {pb.JobReport.RETURN_UNSPECIFIED: None} | {
    pb.JobReport.Return.Value(f"RETURN_{kind.name}"): kind for kind in Return
}
REASONS = {reason: pb.RefusedJob.Reason.Value(f"REASON_{reason.name}") for reason in RefusalReason}
REPORT_OUTCOMES = {outcome: pb.ReportResult.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in ReportOutcome}
SIGNAL_OUTCOMES = {outcome: pb.SignalResult.Outcome.Value(f"OUTCOME_{outcome.code}") for outcome in SignalOutcome}
OUTCOMES = {outcome: pb.CancelResult.Outcome.Value(f"OUTCOME_{outcome.code}") for outcome in CancelOutcome}


def spec_from(message: pb.SubmitJobRequest | pb.JobSpec) -> JobSpec:
    """Raises InvalidArgument for an unknown value of an enum, and a time that is none."""
    # Most fields of most jobs are not said, and protobuf is slow to read one.
    said: dict[str, Any] = {"nodes": 0, "command": ""}
    for field, value in message.ListFields():
        if (name := field.name) in _READERS:
            said[name] = _READERS[name](value)
        elif name in MOMENTS:
            said[name] = _time_from(message, name)
    said["on_lost"] = _known(_ON_LOST_BACK, message.on_lost, "on_lost")
    return JobSpec(**said)


def _in_order(items: Mapping[str, str]) -> dict[str, str]:
    """By name: the order of a map on the wire is random."""
    return dict(sorted(items.items()))


def _as_it_is(value: Any) -> Any:
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    **{name: _as_it_is for name in SPEC_FIELDS if name not in MOMENTS},
    **dict.fromkeys(MAPPINGS, _in_order),
    **dict.fromkeys(LISTS, tuple),
}


def bounds_from(message: pb.RequestJobsRequest) -> Bounds:
    return Bounds(
        max_nodes=message.max_nodes,
        max_tasks=message.max_tasks,
        max_cores=message.max_cores,
        max_time_limit_seconds=message.max_time_limit_seconds,
        labels=dict(message.labels),
    )


def report_from(message: pb.JobReport) -> Report:
    """Raises InvalidArgument."""
    return Report(
        job_id=message.jobid,
        attempt=message.attempt,
        state=_known(_STATES_BACK, message.state, "state"),
        native_id=message.native_id,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        reason=message.reason,
        output=message.output,
        started_at=_time_from(message, "started_at"),
        finished_at=_time_from(message, "finished_at"),
        returned=_known(_RETURNS, message.returned, "returned"),
        # Agents of later releases may know further ones.
        end_cause=_CAUSES_BACK.get(message.end_cause),
        output_files=_output_files_from(message.output_files) if message.HasField("output_files") else None,
    )


def _output_files_from(message: pb.OutputFiles) -> OutputFiles:
    return OutputFiles(files=[OutputFile(file.name, file.size) for file in message.files], more=message.more)


def _time_from(message: pb.JobReport | pb.SubmitJobRequest | pb.JobSpec, field: str) -> datetime | None:
    if not message.HasField(field):  # type: ignore[arg-type]
        return None
    try:
        return cast(datetime, getattr(message, field).ToDatetime(UTC))
    except ValueError:
        raise InvalidArgument("must be a time of the years 1 to 9999", field=field) from None


def states_from(numbers: Iterable[int]) -> list[JobState]:
    return list(dict.fromkeys(_known(_STATES_BACK, number, "states") for number in numbers))


def kind_from(number: int) -> CredentialKind:
    return _known(_KINDS, number, "kind")


# Those of a job that the original does not know.
_FURTHER_FIELDS = tuple(name for name in DESCRIPTION_FIELDS if name not in ("name", "nodes", "tasks", "command"))
_further_values = attrgetter(*_FURTHER_FIELDS)


def job_to_json(job: QueuedJob, cluster: str) -> str:
    """One line, the original's keys first; the others follow only where they are set."""
    content: dict[str, Any] = {
        "id": job.id,
        "cluster": cluster,
        "name": job.name,
        "nodes": job.nodes,
        "tasks": job.tasks,
        "command": job.command,
    }
    further = _further_values(job)
    if any(further) or job.array_index is not None:
        content.update(
            (name, value)
            for name, value in zip(_FURTHER_FIELDS, further, strict=True)
            if value or (name in INDEXES and value is not None)
        )
    if job.attempt > 1:
        content["attempt"] = job.attempt
    if job.pool:
        content["pool"] = job.pool
    return _ESCAPED.sub(lambda found: _JSON_ESCAPES[found[0]], _write_json(content))


_json_of_kept = lru_cache(maxsize=KEPT_JOBS)(job_to_json)


def entries_that_fit(jobs: Iterable[QueuedJob], cluster: str) -> list[tuple[int, str]]:
    """(id, JSON) of the first jobs, as many as fit one message."""
    entries: list[tuple[int, str]] = []
    left = REPLY_BUDGET
    for job in jobs:
        text = _json_of_kept(job, cluster) if isinstance(job, KeptJob) else job_to_json(job, cluster)
        left -= len(text.encode()) + _ENTRY_BYTES
        if left < 0:
            break
        entries.append((job.id, text))
    return entries


def messages_that_fit(messages: Iterable[M]) -> Iterator[M]:
    """The first of these, as many as fit one reply, and at least one."""
    left = REPLY_BUDGET
    for place, message in enumerate(messages):
        left -= message.ByteSize() + _ENTRY_BYTES
        if left < 0 and place:
            return
        yield message


FINAL_STATES = frozenset(STATES[state] for state in FINAL)


_SAID_FIELDS = tuple(name for name in SPEC_FIELDS if name not in MOMENTS)
_LISTED_FIELDS = tuple(name for name in _SAID_FIELDS if name not in UNLISTED_FIELDS)


def job_to_message(job: FoundJob, *, brief: bool) -> pb.Job:
    """`brief` leaves out what lists of jobs leave out, and the output."""
    said = {name: getattr(job, name) for name in (_LISTED_FIELDS if brief else _SAID_FIELDS)}
    said["on_lost"] = _ON_LOST[job.on_lost]
    message = pb.Job(
        **said,
        id=job.id,
        cluster=job.cluster,
        state=STATES[job.state],
        attempt=job.attempt,
        agent=job.agent,
        native_id=job.native_id,
        exit_code=job.exit_code,
        end_cause=_CAUSES.get(job.end_cause, pb.END_CAUSE_UNSPECIFIED),
        reason=job.reason,
        output=job.output,
        submitted_by=job.submitted_by.label if job.submitted_by else "",
        pool=job.pool,
        owner=job.owner,
        project=job.project,
        attempts=[_attempt_to_message(attempt) for attempt in job.attempts],
        resubmissions=job.resubmissions,
        output_files=_output_files_to_message(job.output_files),
    )
    for name in TIMES:
        if at := getattr(job, name):
            getattr(message, name).FromDatetime(at)
    return message


def _output_files_to_message(listed: OutputFiles | None) -> pb.OutputFiles | None:
    if listed is None:
        return None
    return pb.OutputFiles(files=[pb.OutputFile(name=name, size=size) for name, size in listed.files], more=listed.more)


def _attempt_to_message(attempt: JobAttempt) -> pb.JobAttempt:
    return pb.JobAttempt(
        attempt=attempt.attempt,
        cluster=attempt.cluster.name,
        native_id=attempt.native_id,
        accepted_at=timestamp(attempt.accepted_at),
        started_at=timestamp(attempt.started_at),
        ended_at=timestamp(attempt.ended_at),
        end_cause=_CAUSES.get(attempt.end_cause, pb.END_CAUSE_UNSPECIFIED),
        exit_code=attempt.exit_code,
        reason=attempt.reason,
    )


def group_to_message(group: FoundGroup) -> pb.JobGroup:
    return pb.JobGroup(
        id=group.id,
        name=group.name,
        cluster=group.cluster,
        counts=[count_to_message(state, jobs) for state, jobs in group.counts.items()],
        made_at=timestamp(group.made_at),
        at_once=group.at_once,
        stop_after_failures=group.stop_after_failures,
        stopped_at=timestamp(group.stopped_at),
        why=group.why,
        finished_at=timestamp(group.finished_at),
        open=group.open,
        submitted_by=group.submitted_by,
        owner=group.owner,
        project=group.project,
        failures=messages_that_fit(job_to_message(job, brief=True) for job in group.failures),
    )


def event_to_message(event: JobEvent) -> pb.JobEvent:
    return pb.JobEvent(
        at=timestamp(event.at),
        what=event.what,
        state=STATES[JobState(event.state)],
        attempt=event.attempt,
        who=event.who,
        why=event.why,
        request_id=event.request_id or "",
    )


def prospect_to_message(prospect: Prospect) -> pb.Prospect:
    return pb.Prospect(cluster=prospect.cluster, outlook=prospect.outlook.value, text=prospect.text)


def held_to_message(streak: Streak) -> pb.HeldToken:
    return pb.HeldToken(token=streak.credential.label, reason=streak.why, held_at=timestamp(streak.held_at))


def error_to_message(error: RainbowError) -> pb.SubmitError:
    seconds = error.retry_after_seconds if isinstance(error, LimitReached) else 0
    return pb.SubmitError(code=error.code, field=error.field, message=error.message, retry_after_seconds=seconds)


def count_to_message(state: JobState, count: int) -> pb.StateCount:
    return pb.StateCount(state=STATES[state], count=count)


def request_id() -> str:
    return str(uuid.uuid4())


def timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message


def _known(table: Mapping[Any, T], number: int, field: str) -> T:
    if number not in table:
        allowed = ", ".join(str(known) for known in sorted(table))
        raise InvalidArgument(f"must be one of {allowed}, not {number}", field=field)
    return table[number]
