"""Answers about named jobs: they must be about these jobs, each once, and about no others."""

import json
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from rainbow import records, rules, translation
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry.traces import traceparent_from
from rainbow.translation import file_of, nonsense, refusing_nonsense

REFUSAL_REASONS = {
    pb.RefusedJob.REASON_NOT_FOUND: records.RefusalReason.NOT_FOUND,
    pb.RefusedJob.REASON_NOT_QUEUED: records.RefusalReason.NOT_QUEUED,
    pb.RefusedJob.REASON_REPEATED: records.RefusalReason.REPEATED,
    pb.RefusedJob.REASON_PAUSED: records.RefusalReason.PAUSED,
}


@refusing_nonsense()
def acceptance(answer: pb.AcceptJobsResponse, *, asked: Sequence[int]) -> records.Acceptance:
    complete = answer.status == pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS
    accepted = tuple(_accepted_job(item) for item in answer.accepted)
    if complete and not accepted:
        # A server of the original protocol names no jobs, and gives each out once.
        accepted = tuple(records.AcceptedJob(jobid=jobid, attempt=1, lease_expires_at=None) for jobid in asked)
    taken = records.Acceptance(
        complete=complete, accepted=accepted, refused=tuple(_refused_job(item) for item in answer.refused)
    )
    _check_named(answer.accepted, asked)
    if not {item.jobid for item in answer.refused} <= set(asked):
        raise nonsense("it tells of jobs that were not asked for")
    return taken


def found(answer: pb.GetJobsResponse, *, asked: Sequence[int]) -> tuple[list[records.Job], list[int], list[int]]:
    """The jobs, the missing ids, and the ids to look up again."""
    told = [*(job.id for job in answer.jobs), *answer.missing, *answer.remaining]
    if sorted(told) != sorted(set(asked)):
        raise nonsense("it tells of other jobs than were asked for")
    if not (answer.jobs or answer.missing):
        raise nonsense("it tells of no job")
    return [translation.job(message) for message in answer.jobs], list(answer.missing), list(answer.remaining)


def page(answer: pb.ListJobsResponse, *, before: int) -> records.JobPage:
    """A page of jobs with smaller ids than that: a list that turns back might never end."""
    ids = [before, *(job.id for job in answer.jobs)]
    if any(later >= earlier for earlier, later in pairwise(ids)) or ids[-1] < 1:
        raise nonsense("its jobs are not listed from the newest to the oldest")
    if answer.next_page_token and not answer.jobs:
        raise nonsense("its list goes on after a page without jobs")
    jobs = tuple(translation.job(message) for message in answer.jobs)
    return records.JobPage(jobs=jobs, next_page_token=answer.next_page_token)


def group(answer: pb.GetGroupResponse | pb.CancelGroupResponse, *, asked: int) -> records.JobGroup:
    if answer.group.id != asked:
        raise nonsense("it tells of another group than was asked for")
    return translation.group(answer.group)


def groups(answer: pb.ListGroupsResponse, *, before: int) -> records.GroupPage:
    """A page of groups with smaller ids than that."""
    ids = [before, *(group.id for group in answer.groups)]
    if any(later >= earlier for earlier, later in pairwise(ids)) or ids[-1] < 1:
        raise nonsense("its groups are not listed from the newest to the oldest")
    if answer.next_page_token and not answer.groups:
        raise nonsense("its list goes on after a page without groups")
    found = tuple(translation.group(message) for message in answer.groups)
    return records.GroupPage(groups=found, next_page_token=answer.next_page_token)


def clusters(answer: pb.ListClustersResponse, *, before: Sequence[str], most: int) -> list[records.Cluster]:
    """A page of clusters after those: a list that repeats itself might never end."""
    names = [*before, *(item.name for item in answer.clusters)]
    if len(set(names)) < len(names) or len(names) > most or not answer.clusters:
        raise nonsense("it does not list each cluster once")
    return [translation.cluster(item) for item in answer.clusters]


def cancel_results(answer: pb.CancelJobsResponse, *, asked: Sequence[int]) -> tuple[records.CancelResult, ...]:
    if [item.jobid for item in answer.results] != list(dict.fromkeys(asked)):
        raise nonsense("it tells of other jobs than were asked for")
    return tuple(translation.cancel_result(message) for message in answer.results)


def signal_results(answer: pb.SignalJobsResponse, *, asked: Sequence[int]) -> tuple[records.SignalResult, ...]:
    if [item.jobid for item in answer.results] != list(dict.fromkeys(asked)):
        raise nonsense("it tells of other jobs than were asked for")
    return tuple(translation.signal_result(message) for message in answer.results)


def output_part(answer: pb.ReadOutputResponse, *, offset: int) -> records.OutputPart:
    """The part that begins there."""
    if answer.offset != offset:
        raise nonsense("it is another part of the output than was asked for")
    return records.OutputPart(offset=answer.offset, data=answer.data, attempt=answer.attempt)


def watched(answer: pb.WatchJobsResponse, *, asked: Collection[int]) -> records.Job:
    if answer.job.id not in asked:
        raise nonsense("it tells of a job that was not asked for")
    return translation.job(answer.job)


@refusing_nonsense()
def registration(answer: pb.RegisterResponse, *, cluster: str) -> records.Registration:
    for credential in (answer.token, answer.secret):
        _check_credential(credential)
    return records.Registration(cluster=cluster, token=answer.token, secret=answer.secret)


@refusing_nonsense()
def rotated_credential(
    answer: pb.RotateCredentialResponse, *, asked: records.CredentialKind
) -> records.RotatedCredential:
    _check_credential(answer.credential)
    if answer.kind != translation.CREDENTIAL_KINDS[asked]:
        raise nonsense("it tells of another credential than was asked for")
    return records.RotatedCredential(
        credential=answer.credential,
        kind=translation.KINDS_BY_NUMBER[answer.kind],
        label=answer.label,
        previous_expires_at=translation.moment(answer, "previous_expires_at"),
    )


def _check_credential(value: str) -> None:
    try:
        rules.check_credential(value)
    except InvalidArgument as error:
        raise nonsense(str(error)) from error


def _check_named(accepted: Iterable[pb.AcceptedJob], asked: Sequence[int]) -> None:
    ids = [item.jobid for item in accepted]
    if len(set(ids)) < len(ids) or not set(ids) <= set(asked):
        raise nonsense("it gives jobs that were not asked for")
    if any(item.attempt < 1 for item in accepted):
        raise nonsense("it gives a job without an attempt")


def _accepted_job(item: pb.AcceptedJob) -> records.AcceptedJob:
    expires_at = translation.moment(item, "lease_expires_at")
    parent = traceparent_from(item.traceparent)
    return records.AcceptedJob(jobid=item.jobid, attempt=item.attempt, lease_expires_at=expires_at, traceparent=parent)


def _refused_job(item: pb.RefusedJob) -> records.RefusedJob:
    reason = REFUSAL_REASONS.get(item.reason, records.RefusalReason.UNSPECIFIED)
    return records.RefusedJob(jobid=item.jobid, reason=reason, message=item.message)


# Of ten thousand names of a kibibyte each, in JSON.
_LONGEST_LISTING = 64 * 1024 * 1024


def listing_so_far(content: bytes, part: bytes) -> bytes:
    if len(content) + len(part) > _LONGEST_LISTING:
        raise nonsense("its list of files has no end")
    return content + part


@refusing_nonsense()
def job_files(content: bytes) -> tuple[records.JobFile, ...]:
    """A listing, whose names the site of the job may have made up: none of them leads out of a folder."""
    found = [json.loads(line) for line in content.splitlines()]
    if not all(isinstance(item, dict) for item in found):
        raise nonsense("its list of files is none")
    return tuple(file_of(str(item["name"]), int(item["size"])) for item in found if "name" in item)
