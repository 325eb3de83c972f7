"""Cancelling jobs over gRPC."""

from rainbow.protos import rainbow_pb2 as pb
from tests.support.wire import Remote, cancel, ids_of, spec


def test_every_job_of_a_call_to_cancel_has_its_outcome(remote: Remote, other_remote: Remote) -> None:
    waiting, handed_over, held, over = ids_of(remote.submit_many(*[spec()] * 4))
    theirs = other_remote.submit().jobid
    remote.accept(handed_over)
    remote.accept(held, agent="agent-1")
    cancel(remote, over)

    outcomes = cancel(remote, held, waiting, over, handed_over, theirs, waiting, 0, reason="enough")

    outcome = pb.CancelResult
    assert outcomes == [
        (held, outcome.OUTCOME_REQUESTED),
        (waiting, outcome.OUTCOME_CANCELLED),
        (over, outcome.OUTCOME_ALREADY_FINAL),
        (handed_over, outcome.OUTCOME_OUT_OF_REACH),
        (theirs, outcome.OUTCOME_NOT_FOUND),
        (0, outcome.OUTCOME_NOT_FOUND),
    ]
    assert remote.job(held).state == pb.JOB_STATE_ACCEPTED
    assert remote.job(held).HasField("cancel_requested_at")
    assert (remote.job(waiting).state, remote.job(waiting).reason) == (pb.JOB_STATE_CANCELLED, "enough")
    assert other_remote.job(theirs).state == pb.JOB_STATE_QUEUED
    assert not remote.request().jobs


def test_asking_twice_for_a_job_to_stop_is_asking_once(remote: Remote) -> None:
    job_id = remote.submit().jobid
    remote.accept(job_id, agent="agent-1")

    first, second = cancel(remote, job_id, reason="first"), cancel(remote, job_id, reason="second")

    assert first == second == [(job_id, pb.CancelResult.OUTCOME_REQUESTED)]
    events = remote.job(job_id, with_events=True).events
    assert [event.why for event in events if event.what == "cancel_requested"] == ["first"]
