"""Between the messages of the wire and the records of the client."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from rainbow import records
from rainbow.errors import BY_CODE, InvalidArgument, RainbowError
from rainbow.protos import rainbow_pb2 as pb

ON_LOST = {
    records.OnLost.UNSPECIFIED: pb.ON_LOST_UNSPECIFIED,
    records.OnLost.KEEP: pb.ON_LOST_KEEP,
    records.OnLost.REQUEUE: pb.ON_LOST_REQUEUE,
}
CREDENTIAL_KINDS = {
    records.CredentialKind.TOKEN: pb.CREDENTIAL_KIND_TOKEN,
    records.CredentialKind.SECRET: pb.CREDENTIAL_KIND_SECRET,
}
JOB_STATES = {
    records.JobState.UNSPECIFIED: pb.JOB_STATE_UNSPECIFIED,
    records.JobState.QUEUED: pb.JOB_STATE_QUEUED,
    records.JobState.ACCEPTED: pb.JOB_STATE_ACCEPTED,
    records.JobState.RUNNING: pb.JOB_STATE_RUNNING,
    records.JobState.COMPLETED: pb.JOB_STATE_COMPLETED,
    records.JobState.FAILED: pb.JOB_STATE_FAILED,
    records.JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    records.JobState.LOST: pb.JOB_STATE_LOST,
}
REFUSAL_REASONS = {
    pb.RefusedJob.REASON_NOT_FOUND: records.RefusalReason.NOT_FOUND,
    pb.RefusedJob.REASON_NOT_QUEUED: records.RefusalReason.NOT_QUEUED,
    pb.RefusedJob.REASON_REPEATED: records.RefusalReason.REPEATED,
    pb.RefusedJob.REASON_PAUSED: records.RefusalReason.PAUSED,
}
CANCEL_OUTCOMES = {
    pb.CancelResult.OUTCOME_CANCELLED: records.CancelOutcome.CANCELLED,
    pb.CancelResult.OUTCOME_REQUESTED: records.CancelOutcome.REQUESTED,
    pb.CancelResult.OUTCOME_ALREADY_FINAL: records.CancelOutcome.ALREADY_FINAL,
    pb.CancelResult.OUTCOME_NOT_FOUND: records.CancelOutcome.NOT_FOUND,
    pb.CancelResult.OUTCOME_OUT_OF_REACH: records.CancelOutcome.OUT_OF_REACH,
}
STATES_BY_NUMBER = {number: state for state, number in JOB_STATES.items()}
ON_LOST_BY_NUMBER = {number: wish for wish, number in ON_LOST.items()}
KINDS_BY_NUMBER = {number: kind for kind, number in CREDENTIAL_KINDS.items()}


@contextmanager
def refusing_what_the_wire_cannot_carry() -> Iterator[None]:
    """Turn protobuf's complaint about a value (not 32 bits, not UTF-8) into InvalidArgument."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"this cannot be sent: {error}") from error


@contextmanager
def refusing_nonsense() -> Iterator[None]:
    """Turn an answer that breaks the protocol into a RainbowError."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise nonsense() from error


def nonsense() -> RainbowError:
    return RainbowError("the server gave an answer that this client does not understand")


def job_spec(spec: records.JobSpec) -> pb.JobSpec:
    return pb.JobSpec(
        name=spec.name,
        nodes=spec.nodes,
        tasks=spec.tasks,
        command=spec.command,
        time_limit_seconds=spec.time_limit_seconds,
        environment=spec.environment,
        working_directory=spec.working_directory,
        priority=spec.priority,
        labels=spec.labels,
        idempotency_key=spec.idempotency_key,
        on_lost=ON_LOST[spec.on_lost],
    )


def submit_request(spec: records.JobSpec, *, cluster: str, token: str) -> pb.SubmitJobRequest:
    return pb.SubmitJobRequest(
        name=spec.name,
        cluster=cluster,
        token=token,
        nodes=spec.nodes,
        tasks=spec.tasks,
        command=spec.command,
        sent=now(),
        time_limit_seconds=spec.time_limit_seconds,
        environment=spec.environment,
        working_directory=spec.working_directory,
        priority=spec.priority,
        labels=spec.labels,
        idempotency_key=spec.idempotency_key,
        on_lost=ON_LOST[spec.on_lost],
    )


def submission(answer: pb.SubmitJobResponse, *, key: str) -> records.Submission:
    return records.Submission(
        jobid=answer.jobid,
        duplicate=answer.duplicate,
        position=answer.position,
        idempotency_key=key,
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        warning=answer.warning,
    )


def submit_results(answer: pb.SubmitJobsResponse, *, keys: list[str]) -> records.SubmitResults:
    return records.SubmitResults(
        results=results(answer.results, keys=keys),
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        warning=answer.warning,
    )


def results(items: Sequence[pb.SubmitResult], *, keys: list[str]) -> tuple[records.SubmitResult, ...]:
    return tuple(_submit_result(item, key=key) for item, key in zip(items, keys, strict=True))


def waiting_jobs(answer: pb.RequestJobsResponse) -> records.WaitingJobs:
    order = list(answer.jobids) or sorted(answer.jobs)
    return records.WaitingJobs(
        jobs=tuple(_waiting_job(dict(json.loads(answer.jobs[jobid]))) for jobid in order), paused=answer.paused
    )


def acceptance(answer: pb.AcceptJobsResponse) -> records.Acceptance:
    return records.Acceptance(
        complete=answer.status == pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS,
        accepted=tuple(_accepted_job(item) for item in answer.accepted),
        refused=tuple(_refused_job(item) for item in answer.refused),
    )


def job(message: pb.Job) -> records.Job:
    return records.Job(
        id=message.id,
        cluster=message.cluster,
        name=message.name,
        command=message.command,
        nodes=message.nodes,
        tasks=message.tasks,
        state=_state(message.state),
        priority=message.priority,
        time_limit_seconds=message.time_limit_seconds,
        environment=dict(message.environment),
        working_directory=message.working_directory,
        labels=dict(message.labels),
        idempotency_key=message.idempotency_key,
        on_lost=ON_LOST_BY_NUMBER.get(message.on_lost, records.OnLost.UNSPECIFIED),
        attempt=message.attempt,
        agent=message.agent,
        native_id=message.native_id,
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
    )


def cancel_result(message: pb.CancelResult) -> records.CancelResult:
    outcome = CANCEL_OUTCOMES.get(message.outcome, records.CancelOutcome.UNSPECIFIED)
    return records.CancelResult(jobid=message.jobid, outcome=outcome, message=message.message)


def summary(answer: pb.SummarizeJobsResponse) -> records.Summary:
    return records.Summary(
        cluster=answer.cluster,
        counts={_state(item.state): item.count for item in answer.counts},
        oldest_submitted_at=moment(answer, "oldest_submitted_at"),
        agent_last_asked_at=moment(answer, "agent_last_asked_at"),
        paused=answer.paused,
        not_ready=answer.not_ready,
    )


def rotated_credential(answer: pb.RotateCredentialResponse) -> records.RotatedCredential:
    return records.RotatedCredential(
        credential=answer.credential,
        kind=KINDS_BY_NUMBER[answer.kind],
        label=answer.label,
        previous_expires_at=moment(answer, "previous_expires_at"),
    )


def echo(answer: pb.Response) -> records.Echo:
    return records.Echo(
        request_id=answer.request_id,
        message_count=answer.message_count,
        messages_processed=answer.messages_processed,
        processing_details=answer.processing_details,
        answered_at=moment(answer, "answered_at"),
    )


def failure(code: str, message: str, *, field: str = "") -> RainbowError:
    """The exception for a canonical code; a code that rainbow does not expect is named in the message."""
    text = message.removeprefix(f"{field}: ")
    if code in BY_CODE:
        return BY_CODE[code](text, field=field)
    return RainbowError(f"{text} ({code})", field=field)


def now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp


def moment(message: Any, field: str) -> datetime | None:
    return _moment(getattr(message, field)) if message.HasField(field) else None


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _submit_result(item: pb.SubmitResult, *, key: str) -> records.SubmitResult:
    refused = item.HasField("error")
    return records.SubmitResult(
        jobid=item.jobid,
        duplicate=item.duplicate,
        position=item.position,
        idempotency_key=key,
        error=failure(item.error.code, item.error.message, field=item.error.field) if refused else None,
    )


def _waiting_job(fields: Mapping[str, Any]) -> records.WaitingJob:
    known = {key: value for key, value in fields.items() if key in records.WaitingJob.__dataclass_fields__}
    return records.WaitingJob(**known)


def _accepted_job(item: pb.AcceptedJob) -> records.AcceptedJob:
    expires_at = moment(item, "lease_expires_at")
    return records.AcceptedJob(jobid=item.jobid, attempt=item.attempt, lease_expires_at=expires_at)


def _refused_job(item: pb.RefusedJob) -> records.RefusedJob:
    reason = REFUSAL_REASONS.get(item.reason, records.RefusalReason.UNSPECIFIED)
    return records.RefusedJob(jobid=item.jobid, reason=reason, message=item.message)


def _state(number: pb.JobState.ValueType) -> records.JobState:
    return STATES_BY_NUMBER.get(number, records.JobState.UNSPECIFIED)


def _job_event(event: pb.JobEvent) -> records.JobEvent:
    return records.JobEvent(
        at=_moment(event.at),
        what=event.what,
        state=_state(event.state),
        attempt=event.attempt,
        who=event.who,
        why=event.why,
    )
