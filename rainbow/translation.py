"""Translates between messages and the client's records."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from rainbow import records
from rainbow.errors import BY_CODE, InvalidArgument, LimitReached, RainbowError
from rainbow.fact_messages import read_facts
from rainbow.protos import rainbow_pb2 as pb
from rainbow.spec_rules import check_file_name
from rainbow.specs import INDEXES, MOMENTS, SPEC_FIELDS, JobSpec, OnLost, values_read
from rainbow.text import on_one_line

# A server's words, as they are shown and logged.
LONGEST_MESSAGE = 1000
LONGEST_RETRY_AFTER_SECONDS = 3_600
LONGEST_FIELD = 100
LONGEST_VERSION = 100
MAX_FILE_SIZE = 2**62
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)

ON_LOST = {
    OnLost.UNSPECIFIED: pb.ON_LOST_UNSPECIFIED,
    OnLost.KEEP: pb.ON_LOST_KEEP,
    OnLost.REQUEUE: pb.ON_LOST_REQUEUE,
}
CREDENTIAL_KINDS = {
    records.CredentialKind.TOKEN: pb.CREDENTIAL_KIND_TOKEN,
    records.CredentialKind.SECRET: pb.CREDENTIAL_KIND_SECRET,
}
JOB_STATES = {
    records.JobState.UNSPECIFIED: pb.JOB_STATE_UNSPECIFIED,
    records.JobState.BLOCKED: pb.JOB_STATE_BLOCKED,
    records.JobState.QUEUED: pb.JOB_STATE_QUEUED,
    records.JobState.ACCEPTED: pb.JOB_STATE_ACCEPTED,
    records.JobState.RUNNING: pb.JOB_STATE_RUNNING,
    records.JobState.COMPLETED: pb.JOB_STATE_COMPLETED,
    records.JobState.FAILED: pb.JOB_STATE_FAILED,
    records.JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    records.JobState.LOST: pb.JOB_STATE_LOST,
}
END_CAUSES = {cause: pb.EndCause.Value(f"END_CAUSE_{cause.name}") for cause in records.EndCause}
CANCEL_OUTCOMES = {
    pb.CancelResult.OUTCOME_CANCELLED: records.CancelOutcome.CANCELLED,
    pb.CancelResult.OUTCOME_REQUESTED: records.CancelOutcome.REQUESTED,
    pb.CancelResult.OUTCOME_ALREADY_FINAL: records.CancelOutcome.ALREADY_FINAL,
    pb.CancelResult.OUTCOME_NOT_FOUND: records.CancelOutcome.NOT_FOUND,
    pb.CancelResult.OUTCOME_OUT_OF_REACH: records.CancelOutcome.OUT_OF_REACH,
}
SIGNAL_OUTCOMES = {
    pb.SignalResult.Outcome.Value(f"OUTCOME_{outcome.name}"): outcome for outcome in records.SignalOutcome
}
STATES_BY_NUMBER = {number: state for state, number in JOB_STATES.items()}
END_CAUSES_BY_NUMBER = {number: cause for cause, number in END_CAUSES.items()}
ON_LOST_BY_NUMBER = {number: wish for wish, number in ON_LOST.items()}
KINDS_BY_NUMBER = {number: kind for kind, number in CREDENTIAL_KINDS.items()}


@contextmanager
def refusing_what_the_wire_cannot_carry() -> Iterator[None]:
    """Turn protobuf's error about a value (not 32 bits, not UTF-8) into InvalidArgument."""
    try:
        yield
    except (ValueError, TypeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeError) else error
        raise InvalidArgument(f"this cannot be sent: {reason}") from error


@contextmanager
def refusing_nonsense() -> Iterator[None]:
    """Turn an answer that breaks the protocol into a RainbowError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise nonsense() from error


def nonsense(why: str = "") -> RainbowError:
    """The failure for an answer that breaks the protocol; `why` names the rule."""
    return RainbowError(f"the server gave an answer that this client does not understand{why and f': {why}'}")


def job_spec(spec: JobSpec) -> pb.JobSpec:
    return pb.JobSpec(**_said(spec))


def submit_request(spec: JobSpec, *, cluster: str, token: str) -> pb.SubmitJobRequest:
    return pb.SubmitJobRequest(**_said(spec), cluster=cluster, token=token, sent=now())


def _said(spec: JobSpec) -> dict[str, Any]:
    """The fields of a job, which have the same names in all messages."""
    said = {name: getattr(spec, name) for name in SPEC_FIELDS}
    said["on_lost"] = ON_LOST[spec.on_lost]
    return {**said, **{name: _stamp(said[name], field=name) for name in MOMENTS}}


def _read(message: pb.Job) -> dict[str, Any]:
    said = values_read({name: getattr(message, name) for name in SPEC_FIELDS if name not in (*MOMENTS, *INDEXES)})
    said |= {name: moment(message, name) for name in MOMENTS}
    said |= {name: _whole(message, name) for name in INDEXES}
    said["on_lost"] = ON_LOST_BY_NUMBER.get(message.on_lost, OnLost.UNSPECIFIED)
    return said


@refusing_nonsense()
def submission(answer: pb.SubmitJobResponse, *, key: str) -> records.Submission:
    return records.Submission(
        jobid=answer.jobid,
        duplicate=answer.duplicate,
        position=answer.position,
        idempotency_key=key,
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        warning=answer.warning,
    )


@refusing_nonsense()
def submit_results(answer: pb.SubmitJobsResponse, *, keys: list[str]) -> records.SubmitResults:
    return records.SubmitResults(
        results=results(answer.results, keys=keys, group=answer.group),
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        warning=answer.warning,
        group=answer.group,
    )


def group_wish(wish: records.GroupWish, *, more: bool = False) -> pb.Group:
    return pb.Group(
        id=wish.id,
        name=wish.name,
        at_once=wish.at_once,
        stop_after_failures=wish.stop_after_failures,
        idempotency_key=wish.idempotency_key,
        more=wish.more or more,
    )


@refusing_nonsense()
def resubmissions(answer: pb.ResubmitJobsResponse, *, keys: list[str]) -> records.Resubmissions:
    return records.Resubmissions(
        results=results(answer.results, keys=keys),
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        warning=answer.warning,
        signed_before=tuple(answer.signed_before),
    )


@refusing_nonsense()
def results(items: Sequence[pb.SubmitResult], *, keys: list[str], group: int = 0) -> tuple[records.SubmitResult, ...]:
    return tuple(_submit_result(item, key=key, group=group) for item, key in zip(items, keys, strict=True))


@refusing_nonsense()
def job(message: pb.Job) -> records.Job:
    return records.Job(
        **_read(message),
        id=message.id,
        cluster=message.cluster,
        state=_state(message.state),
        attempt=message.attempt,
        agent=message.agent,
        native_id=message.native_id,
        pool=message.pool,
        owner=message.owner,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        reason=message.reason,
        output=message.output,
        submitted_at=moment(message, "submitted_at"),
        accepted_at=moment(message, "accepted_at"),
        started_at=moment(message, "started_at"),
        finished_at=moment(message, "finished_at"),
        lost_at=moment(message, "lost_at"),
        lease_expires_at=moment(message, "lease_expires_at"),
        cancel_requested_at=moment(message, "cancel_requested_at"),
        submitted_by=message.submitted_by,
        events=tuple(_job_event(event) for event in message.events),
        why_waiting=message.why_waiting,
        prospects=tuple(_prospect(item) for item in message.prospects),
        end_cause=_cause(message.end_cause),
        retry_at=moment(message, "retry_at"),
        attempts=tuple(_attempt(item) for item in message.attempts),
        resubmissions=tuple(message.resubmissions),
        output_files=_output_files(message),
    )


def _output_files(message: pb.Job) -> records.OutputFiles | None:
    """Raises RainbowError for a name that leads out of a folder."""
    if not message.HasField("output_files"):
        return None
    files = tuple(file_of(item.name, item.size) for item in message.output_files.files)
    return records.OutputFiles(files=files, more=message.output_files.more)


def file_of(name: str, size: int) -> records.JobFile:
    """A file, whose name its site may have made up. Raises RainbowError."""
    try:
        check_file_name(name, field="name")
    except InvalidArgument as error:
        raise nonsense(f"it names a file {error.message}") from error
    if not 0 <= size <= MAX_FILE_SIZE:
        raise nonsense(f"it tells of a file of {size} bytes")
    return records.JobFile(name=name, size=size)


@refusing_nonsense()
def group(message: pb.JobGroup) -> records.JobGroup:
    return records.JobGroup(
        id=message.id,
        name=message.name,
        cluster=message.cluster,
        counts={_state(item.state): item.count for item in message.counts},
        made_at=_moment(message.made_at),
        finished_at=moment(message, "finished_at"),
        open=message.open,
        submitted_by=message.submitted_by,
        owner=message.owner,
        project=message.project,
        at_once=message.at_once,
        stop_after_failures=message.stop_after_failures,
        stopped_at=moment(message, "stopped_at"),
        why=message.why,
        failures=tuple(job(item) for item in message.failures),
    )


@refusing_nonsense()
def cancel_result(message: pb.CancelResult) -> records.CancelResult:
    outcome = CANCEL_OUTCOMES.get(message.outcome, records.CancelOutcome.UNSPECIFIED)
    return records.CancelResult(jobid=message.jobid, outcome=outcome, message=message.message)


@refusing_nonsense()
def signal_result(message: pb.SignalResult) -> records.SignalResult:
    outcome = SIGNAL_OUTCOMES.get(message.outcome, records.SignalOutcome.UNSPECIFIED)
    return records.SignalResult(jobid=message.jobid, outcome=outcome, message=message.message)


@refusing_nonsense()
def summary(answer: pb.SummarizeJobsResponse) -> records.Summary:
    return records.Summary(
        cluster=answer.cluster,
        counts={_state(item.state): item.count for item in answer.counts},
        oldest_submitted_at=moment(answer, "oldest_submitted_at"),
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        paused=answer.paused,
        not_ready=answer.not_ready,
        held_back=tuple(_held_token(item) for item in answer.held_back),
    )


@refusing_nonsense()
def cluster(item: pb.Cluster) -> records.Cluster:
    return records.Cluster(
        name=item.name,
        pool=item.pool,
        after_seconds=item.after_seconds,
        last_asked_at=moment(item, "last_asked_at"),
        paused=item.paused,
        not_ready=item.not_ready,
        warning=item.warning,
        queued=item.queued,
        oldest_submitted_at=moment(item, "oldest_submitted_at"),
        facts=read_facts(item.facts),
        facts_at=moment(item, "facts_at"),
    )


@refusing_nonsense()
def resumption(answer: pb.ResumeClusterResponse) -> records.Resumption:
    return records.Resumption(paused=answer.paused, held_back=tuple(_held_token(item) for item in answer.held_back))


@refusing_nonsense()
def echo(answer: pb.Response) -> records.Echo:
    return records.Echo(
        request_id=answer.request_id,
        message_count=answer.message_count,
        messages_processed=answer.messages_processed,
        processing_details=answer.processing_details,
        answered_at=moment(answer, "answered_at"),
        server_version=on_one_line(answer.server_version, longest=LONGEST_VERSION),
    )


def failure(code: str, message: str, *, field: str = "", retry_after_seconds: int = 0) -> RainbowError:
    """The exception for a canonical code; a code that rainbow does not expect is named in the message."""
    text = on_one_line(message.removeprefix(f"{field}: "), longest=LONGEST_MESSAGE)
    field = on_one_line(field, longest=LONGEST_FIELD)
    if code == LimitReached.code and retry_after_seconds > 0:
        seconds = min(retry_after_seconds, LONGEST_RETRY_AFTER_SECONDS)
        return LimitReached(text, field=field, retry_after_seconds=seconds)
    if code in BY_CODE:
        return BY_CODE[code](text, field=field)
    return RainbowError(f"{text} ({on_one_line(code, longest=LONGEST_FIELD)})", field=field)


def now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp


def _stamp(at: datetime | None, *, field: str) -> Timestamp | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise InvalidArgument("needs a time zone", field=field)
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def moment(message: Any, field: str) -> datetime | None:
    return _moment(getattr(message, field)) if message.HasField(field) else None


def _whole(message: Any, field: str) -> int | None:
    return int(getattr(message, field)) if message.HasField(field) else None


def _moment(stamp: Timestamp) -> datetime:
    """Raises ValueError for an invalid time, and for one that another time zone cannot express."""
    moment = stamp.ToDatetime(tzinfo=UTC)
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(moment)
    return moment


def _submit_result(item: pb.SubmitResult, *, key: str, group: int) -> records.SubmitResult:
    refused = item.HasField("error")
    return records.SubmitResult(
        jobid=item.jobid,
        duplicate=item.duplicate,
        position=item.position,
        idempotency_key=key,
        error=_refusal(item.error) if refused else None,
        group=0 if refused else group,
    )


def _refusal(error: pb.SubmitError) -> RainbowError:
    return failure(error.code, error.message, field=error.field, retry_after_seconds=error.retry_after_seconds)


def _prospect(item: pb.Prospect) -> records.Prospect:
    return records.Prospect(cluster=item.cluster, outlook=item.outlook, text=item.text)


def _state(number: pb.JobState.ValueType) -> records.JobState:
    return STATES_BY_NUMBER.get(number, records.JobState.UNSPECIFIED)


def _held_token(item: pb.HeldToken) -> records.HeldToken:
    return records.HeldToken(token=item.token, reason=item.reason, held_at=_moment(item.held_at))


def _cause(number: pb.EndCause.ValueType) -> records.EndCause:
    return END_CAUSES_BY_NUMBER.get(number, records.EndCause.UNSPECIFIED)


def _attempt(item: pb.JobAttempt) -> records.JobAttempt:
    return records.JobAttempt(
        attempt=item.attempt,
        cluster=item.cluster,
        native_id=item.native_id,
        accepted_at=moment(item, "accepted_at"),
        started_at=moment(item, "started_at"),
        ended_at=moment(item, "ended_at"),
        end_cause=_cause(item.end_cause),
        exit_code=item.exit_code if item.HasField("exit_code") else None,
        reason=item.reason,
    )


def _job_event(event: pb.JobEvent) -> records.JobEvent:
    return records.JobEvent(
        at=_moment(event.at),
        what=event.what,
        state=_state(event.state),
        attempt=event.attempt,
        who=event.who,
        why=event.why,
        request_id=event.request_id,
    )
