"""Accepting jobs over gRPC, with a lease and without."""

from datetime import UTC, datetime, timedelta

import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.wire import Remote


def test_an_agent_gets_a_lease_for_what_it_accepts(remote: Remote) -> None:
    job_id = remote.submit().jobid
    before = datetime.now(UTC)

    (job,) = remote.accept(job_id, agent="agent-1", lease_seconds=60).accepted

    left = job.lease_expires_at.ToDatetime(UTC) - before
    assert timedelta(seconds=60) <= left < timedelta(seconds=60 + PATIENCE_SECONDS)
    record = remote.job(job_id)
    assert (record.agent, record.lease_expires_at) == ("agent-1", job.lease_expires_at)


def test_a_lease_of_no_length_is_five_minutes_and_a_plain_hand_over_has_none(remote: Remote) -> None:
    leased, plain = remote.submit().jobid, remote.submit().jobid
    before = datetime.now(UTC)

    (with_agent,) = remote.accept(leased, agent="agent-1").accepted
    (without,) = remote.accept(plain).accepted

    assert with_agent.lease_expires_at.ToDatetime(UTC) - before >= timedelta(seconds=300)
    assert not without.HasField("lease_expires_at")


def test_an_agent_that_accepts_again_finds_its_jobs_accepted(remote: Remote) -> None:
    held, fresh = remote.submit().jobid, remote.submit().jobid
    (first,) = remote.accept(held, agent="agent-1", lease_seconds=300).accepted

    again = remote.accept(held, fresh, agent="agent-1", lease_seconds=600)

    assert again.status == pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS
    assert [(job.jobid, job.attempt) for job in again.accepted] == [(held, 1), (fresh, 1)]
    assert again.accepted[0].lease_expires_at.seconds > first.lease_expires_at.seconds
    assert [event.what for event in remote.job(held, with_events=True).events] == ["submitted", "accepted"]


@pytest.mark.parametrize(("first", "second"), [("agent-1", "agent-2"), ("agent-1", ""), ("", "agent-2"), ("", "")])
def test_what_one_agent_holds_nobody_else_can_accept(remote: Remote, first: str, second: str) -> None:
    job_id = remote.submit().jobid
    remote.accept(job_id, agent=first)

    answer = remote.accept(job_id, agent=second)

    assert not answer.accepted
    assert [job.reason for job in answer.refused] == [pb.RefusedJob.REASON_NOT_QUEUED]
    assert remote.job(job_id).agent == first
