"""Submitting over gRPC: once for each idempotency key, many in one call, and what the submitter is told."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import cluster_asked, set_cluster
from tests.support.servers import RainbowServer
from tests.support.wire import (
    FULL,
    Remote,
    connected,
    eventually,
    ids_of,
    pages,
    refusal_of,
    spec,
)

# Submitting once


def test_the_same_job_under_the_same_key_is_a_duplicate(remote: Remote) -> None:
    first, again = remote.submit(**FULL), remote.submit(**FULL)

    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.jobid == first.jobid
    assert [[job.id for job in page] for page in pages(remote)] == [[first.jobid]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "other"),
        ("nodes", 3),
        ("tasks", 0),
        ("command", "run"),
        ("time_limit_seconds", 61),
        ("environment", {"A": "1"}),
        ("working_directory", "/"),
        ("priority", 8),
        ("labels", {"team": "y", "app/kind": ""}),
        ("on_lost", pb.ON_LOST_KEEP),
    ],
)
def test_another_job_under_the_same_key_is_refused(remote: Remote, field: str, value: object) -> None:
    job_id = remote.submit(**FULL).jobid

    refusal = refusal_of(remote.stub.SubmitJob, remote.submission(**{**FULL, field: value}))

    assert (refusal.code, refusal.field) == (grpc.StatusCode.ALREADY_EXISTS, "idempotency_key")
    assert [[job.id for job in page] for page in pages(remote)] == [[job_id]]


def test_a_key_belongs_to_its_cluster(remote: Remote, other_remote: Remote) -> None:
    mine, theirs = remote.submit(**FULL), other_remote.submit(**FULL)

    assert mine.jobid != theirs.jobid
    assert not theirs.duplicate


def test_a_duplicate_of_a_job_that_no_longer_waits_has_no_position(remote: Remote) -> None:
    job_id = remote.submit(**FULL).jobid
    remote.accept(job_id)

    again = remote.submit(**FULL)

    assert (again.jobid, again.duplicate, again.position) == (job_id, True, 0)


def test_the_same_key_inside_one_call_makes_one_job_and_another_content_is_refused(remote: Remote) -> None:
    same, other = spec(idempotency_key="k"), spec(idempotency_key="k", command="other")

    first, plain, again, refused = remote.submit_many(same, spec(), same, other).results

    assert (again.jobid, again.duplicate, again.position) == (first.jobid, True, 1)
    assert (refused.jobid, refused.error.code, refused.error.field) == (0, "ALREADY_EXISTS", "idempotency_key")
    assert list(remote.request().jobids) == [first.jobid, plain.jobid]


def test_many_submissions_under_one_key_at_the_same_time_make_one_job(remote: Remote, server: RainbowServer) -> None:
    def submit(_: int) -> pb.SubmitJobResponse:
        with connected(server.address) as stub:
            return stub.SubmitJob(remote.submission(idempotency_key="race"), timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(submit, range(24)))

    assert len({reply.jobid for reply in replies}) == 1
    assert [reply.duplicate for reply in replies].count(False) == 1
    assert remote.summary() == {pb.JOB_STATE_QUEUED: 1}


# Submitting many


def test_many_jobs_are_queued_in_their_order_with_a_result_each(remote: Remote) -> None:
    specs = [spec(command=f"echo {number}") for number in range(600)]

    answer = remote.submit_many(*specs)

    ids = ids_of(answer)
    assert [result.position for result in answer.results] == list(range(1, 601))
    assert ids == sorted(ids)
    jobs = remote.request().jobs
    assert [json.loads(jobs[job_id])["command"] for job_id in ids] == [spec.command for spec in specs]


def test_a_job_that_is_refused_does_not_keep_the_others_out(remote: Remote) -> None:
    specs = [spec(), spec(nodes=0), spec(labels={"": "x"}), pb.JobSpec(nodes=1, command="x", on_lost=9), spec()]

    good, *bad, last = remote.submit_many(*specs).results

    assert [(result.jobid, result.error.code, result.error.field) for result in bad] == [
        (0, "INVALID_ARGUMENT", "nodes"),
        (0, "INVALID_ARGUMENT", "labels"),
        (0, "INVALID_ARGUMENT", "on_lost"),
    ]
    assert not good.HasField("error")
    assert list(remote.request().jobids) == [good.jobid, last.jobid]


@pytest.mark.parametrize("number", [0, 10_001])
def test_no_jobs_and_too_many_jobs_are_refused(remote: Remote, number: int) -> None:
    request = pb.SubmitJobsRequest(jobs=[spec()] * number)

    refusal = refusal_of(remote.stub.SubmitJobs, request, metadata=remote.by_token)

    assert refusal.text == f"jobs: must be 1 to 10,000, not {number:,}"
    assert not remote.request().jobs


# What a submitter is told


def test_a_position_counts_the_jobs_of_higher_priority_and_the_older_ones(remote: Remote) -> None:
    positions = [remote.submit(priority=priority).position for priority in (0, 0, 10, -10, 10, 0)]

    assert positions == [1, 2, 1, 4, 2, 5]


def test_positions_within_one_call_are_those_after_it(remote: Remote) -> None:
    answer = remote.submit_many(spec(), spec(priority=5), spec(), spec(priority=5))

    assert [result.position for result in answer.results] == [3, 1, 4, 2]
    assert list(remote.request().jobids) == [ids_of(answer)[place] for place in (1, 3, 0, 2)]


def test_a_submitter_is_told_that_nobody_ever_asked(remote: Remote) -> None:
    reply, many = remote.submit(), remote.submit_many(spec())

    assert reply.warning == many.warning == f"{remote.name} has never asked for jobs"
    assert not reply.HasField("agent_last_asked_at")


def test_a_submitter_is_not_warned_where_the_cluster_just_asked(remote: Remote, server: RainbowServer) -> None:
    remote.request()
    eventually(lambda: cluster_asked(server.database_url, remote.name))

    reply = remote.submit()

    assert reply.warning == ""
    assert abs(reply.agent_last_asked_at.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_submitter_is_told_how_long_nobody_asked(remote: Remote, server: RainbowServer) -> None:
    then = datetime.now(UTC) - timedelta(minutes=42, seconds=5)
    set_cluster(server.database_url, remote.name, last_asked_at=then)

    reply = remote.submit()

    assert reply.warning == f"{remote.name} last asked for jobs 42 minutes ago"
    assert reply.agent_last_asked_at.ToDatetime(UTC) == then


def test_a_paused_cluster_takes_submissions_and_hands_nothing_out(remote: Remote, server: RainbowServer) -> None:
    job_id = remote.submit().jobid
    set_cluster(server.database_url, remote.name, paused_at=datetime.now(UTC), paused_reason="maintenance")

    warned, found, accepted = remote.submit(), remote.request(), remote.accept(job_id)

    assert warned.warning == f"{remote.name} is paused: maintenance"
    assert (found.paused, len(found.jobs)) == ("maintenance", 0)
    assert accepted.status == pb.AcceptJobsResponse.RESULT_TYPE_PARTIAL
    assert [job.reason for job in accepted.refused] == [pb.RefusedJob.REASON_PAUSED]
    assert remote.summary() == {pb.JOB_STATE_QUEUED: 2}
