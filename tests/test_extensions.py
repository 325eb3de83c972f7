"""What the protocol learned beyond its frozen part, through a real server."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import add_token, cluster_asked, count, execute, set_cluster
from tests.support.servers import RainbowServer
from tests.support.wire import Refusal, Remote, bearer, connected, eventually, joined, refusal_of, registration

DENIED = Refusal(code=grpc.StatusCode.UNAUTHENTICATED, text="request denied", field="")
FULL = {
    "name": "full",
    "nodes": 2,
    "tasks": 3,
    "command": "run <it>",
    "time_limit_seconds": 60,
    "environment": {"A": "1", "B": "two\nlines"},
    "working_directory": "/scratch",
    "priority": 7,
    "labels": {"team": "x", "app/kind": ""},
    "idempotency_key": "once",
    "on_lost": pb.ON_LOST_REQUEUE,
}


def spec(**fields: Any) -> pb.JobSpec:
    return pb.JobSpec(**{"nodes": 1, "command": "hostname", **fields})


def ids_of(answer: pb.SubmitJobsResponse) -> list[int]:
    return [result.jobid for result in answer.results]


def cancel(cluster: Remote, *ids: int, reason: str = "", by: str = "") -> list[tuple[int, int]]:
    """The outcomes by id; by the cluster's secret unless another credential is given."""
    answer = cluster.stub.CancelJobs(
        pb.CancelJobsRequest(jobids=ids, reason=reason), metadata=bearer(by or cluster.secret)
    )
    assert all(result.message for result in answer.results)
    return [(result.jobid, result.outcome) for result in answer.results]


def rotate(cluster: Remote, value: str = "", **fields: Any) -> pb.RotateCredentialResponse:
    """A new secret unless `kind` says otherwise; `value` is the secret that asks."""
    request = pb.RotateCredentialRequest(**{"kind": pb.CREDENTIAL_KIND_SECRET, **fields})
    return cluster.stub.RotateCredential(request, metadata=bearer(value or cluster.secret))


def may_pull(cluster: Remote, secret: str) -> bool:
    request = pb.RequestJobsRequest(cluster=cluster.name, secret=secret)
    try:
        cluster.stub.RequestJobs(request, timeout=PATIENCE_SECONDS)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        return False
    return True


# Submitting once


def test_the_same_job_under_the_same_key_is_a_duplicate(remote: Remote) -> None:
    first, again = remote.submit(**FULL), remote.submit(**FULL)

    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.jobid == first.jobid
    assert list(remote.request().jobids) == [first.jobid]


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
    assert list(remote.request().jobids) == [job_id]


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


# Requesting


def test_jobs_are_offered_by_priority_and_then_by_age(remote: Remote) -> None:
    ids = [remote.submit(priority=priority).jobid for priority in (0, -1, 100, 0, -100, 100)]

    found = remote.request()

    assert list(found.jobids) == [ids[place] for place in (2, 5, 0, 3, 1, 4)]
    assert list(remote.request(maxJobs=3).jobids) == list(found.jobids)[:3]


@pytest.mark.parametrize(
    ("filters", "places"),
    [
        ({}, [0, 1, 2, 3]),
        ({"max_nodes": 1}, [0, 2]),
        ({"max_nodes": 2}, [0, 1, 2]),
        ({"max_tasks": 4}, [0, 2, 3]),
        ({"max_time_limit_seconds": 60}, [0, 1, 3]),
        ({"labels": {"gpu": "yes"}}, [1, 2]),
        ({"labels": {"gpu": "yes", "team": "x"}}, [2]),
        ({"labels": {"gpu": ""}}, []),
        ({"max_nodes": 1, "labels": {"gpu": "yes"}}, [2]),
        ({"max_nodes": 2, "maxJobs": 1}, [0]),
        ({"labels": {"team": "x"}, "maxJobs": 1}, [2]),
    ],
)
def test_a_cluster_is_offered_what_it_can_take(remote: Remote, filters: dict[str, Any], places: list[int]) -> None:
    ids = ids_of(
        remote.submit_many(
            spec(nodes=1, tasks=4),
            spec(nodes=2, tasks=5, time_limit_seconds=60, labels={"gpu": "yes"}),
            spec(nodes=1, time_limit_seconds=61, labels={"gpu": "yes", "team": "x"}),
            spec(nodes=3),
        )
    )

    found = remote.request(**filters)

    assert list(found.jobids) == [ids[place] for place in places]


def test_a_filter_finds_a_job_far_down_the_queue(remote: Remote) -> None:
    remote.submit_many(*[spec(nodes=2)] * 4_500)
    small = ids_of(remote.submit_many(spec(), spec(), spec(labels={"a": "b"})))

    assert list(remote.request(max_nodes=1).jobids) == small
    assert list(remote.request(labels={"a": "b"}).jobids) == small[2:]


def test_a_request_that_waits_is_answered_when_a_job_is_submitted(remote: Remote, server: RainbowServer) -> None:
    waiting = waiting_request(remote, server)

    job_id = remote.submit().jobid

    assert list(waiting.result().jobids) == [job_id]


def test_a_request_that_waits_is_answered_when_many_jobs_are_submitted(remote: Remote, server: RainbowServer) -> None:
    waiting = waiting_request(remote, server)

    (job_id,) = ids_of(remote.submit_many(spec()))

    assert job_id in waiting.result().jobs


def test_a_request_that_waits_does_not_hear_of_jobs_that_it_did_not_ask_for(
    remote: Remote, other_remote: Remote, server: RainbowServer
) -> None:
    waiting = waiting_request(remote, server, max_nodes=1)

    other_remote.submit()
    remote.submit(nodes=2)
    job_id = remote.submit(nodes=1).jobid

    assert list(waiting.result().jobids) == [job_id]


def test_a_request_that_waits_is_answered_when_another_server_takes_a_job(
    remote: Remote, server: RainbowServer, start_server: Callable[..., RainbowServer]
) -> None:
    other = start_server(database_url=server.database_url)
    waiting = waiting_request(remote, server)

    with connected(other.address) as stub:
        job_id = stub.SubmitJob(remote.submission()).jobid

    assert list(waiting.result().jobids) == [job_id]


def test_a_request_that_waits_is_answered_when_the_server_stops(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server()
    with joined(server) as cluster:
        waiting = waiting_request(cluster, server)
        began = time.monotonic()

        exit_code = server.stop()

        assert waiting.result().status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS
    assert exit_code == 0
    assert time.monotonic() - began < PATIENCE_SECONDS / 2, "it did not wait for the call's own end"


def test_a_request_that_waits_is_answered_before_its_client_gives_up(remote: Remote) -> None:
    request = pb.RequestJobsRequest(cluster=remote.name, secret=remote.secret, wait_seconds=300)

    def answered() -> bool:
        """The server answers half a second before the client gives up, which a busy machine may miss at times."""
        try:
            found = remote.stub.RequestJobs(request, timeout=1)
        except grpc.RpcError:
            return False
        return bool(found.status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS)

    eventually(answered)


def test_a_request_that_waits_is_answered_when_its_time_is_up(remote: Remote) -> None:
    found = remote.request(wait_seconds=1)

    assert found.status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS


def test_a_request_that_may_wait_does_not_where_a_job_waits(remote: Remote) -> None:
    job_id = remote.submit().jobid

    assert list(remote.request(wait_seconds=300).jobids) == [job_id]


def waiting_request(cluster: Remote, server: RainbowServer, **filters: Any) -> Any:
    """A request that the server has looked at once and now holds."""
    request = pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret, wait_seconds=300, **filters)
    call = cluster.stub.RequestJobs.future(request, timeout=PATIENCE_SECONDS)
    eventually(lambda: cluster_asked(server.database_url, cluster.name))
    return call


# Accepting


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
    (first,) = remote.accept(held, agent="agent-1", lease_seconds=20).accepted

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


# Looking up


def test_a_job_is_shown_with_all_that_was_handed_in(remote: Remote) -> None:
    job_id = remote.submit(**FULL).jobid

    job = remote.job(job_id)

    shown = {name: getattr(job, name) for name in FULL}
    shown |= {"environment": dict(job.environment), "labels": dict(job.labels)}
    assert shown == FULL
    assert (job.id, job.cluster, job.state, job.attempt) == (job_id, remote.name, pb.JOB_STATE_QUEUED, 1)
    assert job.submitted_by == "default"
    assert abs(job.submitted_at.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert not job.HasField("exit_code")
    assert not job.events


def test_a_job_is_shown_with_what_happened_to_it(remote: Remote) -> None:
    job_id = remote.submit().jobid
    remote.accept(job_id, agent="agent-1")
    cancel(remote, job_id, reason="too <long>", by=remote.token)

    events = remote.job(job_id, with_events=True).events

    assert [(event.what, event.state, event.attempt, event.who, event.why) for event in events] == [
        ("submitted", pb.JOB_STATE_QUEUED, 1, "token default", ""),
        ("accepted", pb.JOB_STATE_ACCEPTED, 1, "secret default", "by agent-1"),
        ("cancel_requested", pb.JOB_STATE_ACCEPTED, 1, "token default", "too <long>"),
    ]


def test_jobs_come_in_the_order_of_the_request_and_others_are_missing(remote: Remote, other_remote: Remote) -> None:
    first, second, theirs = remote.submit().jobid, remote.submit().jobid, other_remote.submit().jobid

    answer = remote.stub.GetJobs(
        pb.GetJobsRequest(jobids=[second, theirs, first, 0, -1, second]), metadata=remote.by_token
    )

    assert [job.id for job in answer.jobs] == [second, first]
    assert list(answer.missing) == [theirs, 0, -1]
    assert not answer.remaining


def test_jobs_that_do_not_fit_one_message_remain(remote: Remote) -> None:
    heavy = spec(command="x" * 60_000, environment={"A": "y" * 60_000})
    ids = ids_of(remote.submit_many(*[heavy] * 30)) + ids_of(remote.submit_many(*[heavy] * 30))

    first = remote.stub.GetJobs(pb.GetJobsRequest(jobids=ids), metadata=remote.by_secret)
    second = remote.stub.GetJobs(pb.GetJobsRequest(jobids=first.remaining), metadata=remote.by_secret)

    assert first.remaining
    assert [job.id for answer in (first, second) for job in answer.jobs] == ids
    assert not second.remaining


def test_the_pages_of_a_listing_hold_every_job_once_newest_first(remote: Remote, other_remote: Remote) -> None:
    ids = ids_of(remote.submit_many(*[spec() for _ in range(25)]))
    other_remote.submit()
    remote.accept(*ids[::3])
    cancel(remote, *ids[1::3])

    walked = pages(remote, page_size=4)

    assert [len(page) for page in walked] == [4, 4, 4, 4, 4, 4, 1]
    assert [job.id for page in walked for job in page] == ids[::-1]


def test_a_listing_shows_what_is_asked_for(remote: Remote) -> None:
    labelled = {"labels": {"a": "1", "b": "2"}}
    ids = ids_of(
        remote.submit_many(*[spec(name="n", **labelled), spec(name="m", labels={"a": "1"}), spec(name="n")] * 5)
    )
    remote.accept(*ids[:6])
    cancel(remote, *ids[6:9])

    def listed(**search: Any) -> list[int]:
        return [job.id for page in pages(remote, page_size=2, **search) for job in page]

    newest_first = ids[::-1]
    assert listed(states=[pb.JOB_STATE_ACCEPTED]) == newest_first[9:]
    assert listed(states=[pb.JOB_STATE_CANCELLED, pb.JOB_STATE_ACCEPTED]) == newest_first[6:]
    assert listed(states=[pb.JOB_STATE_LOST]) == []
    assert listed(labels={"a": "1"}) == [job_id for job_id in newest_first if (job_id - ids[0]) % 3 != 2]
    assert listed(labels={"a": "1", "b": "2"}, states=[pb.JOB_STATE_QUEUED]) == [ids[12], ids[9]]
    assert listed(name="m") == ids[1::3][::-1]


def test_a_page_ends_where_a_message_would_be_full(remote: Remote) -> None:
    heavy = spec(command="x" * 60_000)
    ids = [job_id for _ in range(3) for job_id in ids_of(remote.submit_many(*[heavy] * 40))]

    walked = pages(remote, page_size=1_000)

    assert len(walked) > 1
    assert [job.id for page in walked for job in page] == ids[::-1]


def test_a_listing_leaves_out_what_may_be_long(remote: Remote) -> None:
    remote.submit(**FULL)

    [[job]] = pages(remote)

    assert job.command == FULL["command"]
    assert not job.environment


def pages(cluster: Remote, **search: Any) -> list[list[pb.Job]]:
    """Every page, by the cluster's secret unless `by` is another credential."""
    by, found, token = search.pop("by", cluster.secret), [], ""
    while True:
        request = pb.ListJobsRequest(page_token=token, **search)
        page = cluster.stub.ListJobs(request, metadata=bearer(by), timeout=PATIENCE_SECONDS)
        found.append(list(page.jobs))
        token = page.next_page_token
        if not token:
            return found


def test_a_token_reaches_the_jobs_that_were_submitted_with_it_and_the_secret_reaches_all(
    remote: Remote, server: RainbowServer
) -> None:
    other = f"another-token-of-{remote.name}"
    add_token(server.database_url, remote.name, label="other", value=other)
    mine, others = remote.submit().jobid, remote.submit(token=other).jobid

    def shown(by: str) -> tuple[list[int], list[int]]:
        answer = remote.stub.GetJobs(pb.GetJobsRequest(jobids=[mine, others]), metadata=bearer(by))
        return [job.id for job in answer.jobs], [job.id for page in pages(remote, by=by) for job in page]

    assert shown(remote.token) == ([mine], [mine])
    assert shown(other) == ([others], [others])
    assert shown(remote.secret) == ([mine, others], [others, mine])
    assert cancel(remote, mine, others, by=other) == [
        (mine, pb.CancelResult.OUTCOME_NOT_FOUND),
        (others, pb.CancelResult.OUTCOME_CANCELLED),
    ]


def test_a_key_of_another_token_is_refused_without_showing_its_job(remote: Remote, server: RainbowServer) -> None:
    other = f"another-token-of-{remote.name}"
    add_token(server.database_url, remote.name, label="other", value=other)
    remote.submit(**FULL)

    refusal = refusal_of(remote.stub.SubmitJob, remote.submission(**FULL, token=other))

    assert refusal.code == grpc.StatusCode.ALREADY_EXISTS


# Cancelling


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


# Summaries


def test_a_summary_counts_the_rows(remote: Remote, other_remote: Remote, server: RainbowServer) -> None:
    ids = ids_of(remote.submit_many(*[spec(priority=number % 3) for number in range(30)]))
    other_remote.submit()
    remote.accept(*ids[:7])
    remote.accept(*ids[7:9], agent="agent-1")
    cancel(remote, *ids[5:20])

    answer = remote.stub.SummarizeJobs(pb.SummarizeJobsRequest(cluster=remote.name), metadata=remote.by_token)

    rows = execute(
        server.database_url,
        "SELECT state, submitted_at FROM jobs_job WHERE cluster_id = (SELECT id FROM clusters_cluster WHERE name = %s)",
        [remote.name],
    )
    counted = {pb.JobState.Name(item.state).removeprefix("JOB_STATE_").lower(): item.count for item in answer.counts}
    assert counted == Counter(state for state, _ in rows) == {"accepted": 9, "cancelled": 11, "queued": 10}
    assert answer.oldest_submitted_at == remote.job(ids[20]).submitted_at
    assert answer.cluster == remote.name


def test_a_summary_of_nothing_is_empty(remote: Remote) -> None:
    answer = remote.stub.SummarizeJobs(pb.SummarizeJobsRequest(), metadata=remote.by_secret)

    assert not answer.counts
    assert not answer.HasField("oldest_submitted_at")
    assert not answer.HasField("agent_last_asked_at")


def test_a_summary_and_a_submission_say_why_the_agent_takes_nothing(remote: Remote) -> None:
    remote.request()
    report = pb.ReportJobsRequest(agent="agent-1", not_ready="slurmctld does not answer")
    remote.stub.ReportJobs(report, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)

    answer = remote.stub.SummarizeJobs(pb.SummarizeJobsRequest(), metadata=remote.by_token)
    submitted = remote.submit()

    assert answer.not_ready == "slurmctld does not answer"
    assert submitted.warning == f"{remote.name} is not ready: slurmctld does not answer"


# Credentials


def test_a_rotated_secret_works_and_the_old_one_works_beside_it_for_a_while(
    remote: Remote, server: RainbowServer
) -> None:
    before = datetime.now(UTC)

    new = rotate(remote, grace_seconds=60)

    assert new.credential not in ("", remote.secret)
    assert (new.kind, new.label) == (pb.CREDENTIAL_KIND_SECRET, "default")
    assert new.previous_expires_at.ToDatetime(UTC) - before >= timedelta(seconds=60)
    assert may_pull(remote, new.credential)
    assert may_pull(remote, remote.secret)
    execute(
        server.database_url,
        "UPDATE clusters_formervalue SET expires_at = %s WHERE credential_id = (SELECT k.id FROM clusters_credential k"
        " JOIN clusters_cluster c ON c.id = k.cluster_id WHERE k.kind = 'secret' AND c.name = %s)",
        [before, remote.name],
    )
    assert may_pull(remote, new.credential)
    assert not may_pull(remote, remote.secret)


def test_grace_is_five_minutes_where_nothing_was_said_and_none_where_none_was_wished(remote: Remote) -> None:
    before = datetime.now(UTC)

    with_grace = rotate(remote)
    without = rotate(remote, with_grace.credential, grace_seconds=0)

    assert with_grace.previous_expires_at.ToDatetime(UTC) - before >= timedelta(seconds=300)
    assert may_pull(remote, without.credential)
    assert not may_pull(remote, with_grace.credential)
    assert not may_pull(remote, remote.secret)


def test_rotating_again_with_the_old_secret_makes_up_for_an_answer_that_was_lost(remote: Remote) -> None:
    lost = rotate(remote)

    found = rotate(remote)

    assert all(may_pull(remote, value) for value in (remote.secret, lost.credential, found.credential))


def test_a_secret_replaces_the_token_and_the_jobs_stay_with_it(remote: Remote) -> None:
    job_id = remote.submit().jobid

    new = rotate(remote, kind=pb.CREDENTIAL_KIND_TOKEN, grace_seconds=0)

    assert refusal_of(remote.stub.SubmitJob, remote.submission()) == DENIED
    second = remote.submit(token=new.credential).jobid
    assert [job.id for page in pages(remote, by=new.credential) for job in page] == [second, job_id]


def test_a_token_cannot_rotate_and_nobody_rotates_for_another_cluster(remote: Remote, other_remote: Remote) -> None:
    request = pb.RotateCredentialRequest(cluster=remote.name, kind=pb.CREDENTIAL_KIND_TOKEN)

    refusals = [
        refusal_of(remote.stub.RotateCredential, request, metadata=bearer(value))
        for value in (remote.token, other_remote.secret, "wrong")
    ]

    assert refusals == [DENIED] * 3
    assert remote.submit().jobid


def test_a_label_that_no_credential_has_is_not_found(remote: Remote) -> None:
    request = pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_SECRET, label="unheard-of")

    refusal = refusal_of(remote.stub.RotateCredential, request, metadata=remote.by_secret)

    assert (refusal.code, refusal.field) == (grpc.StatusCode.NOT_FOUND, "label")


def test_the_frozen_calls_take_the_credential_from_the_metadata(remote: Remote, server: RainbowServer) -> None:
    stub, secret = remote.stub, server.registration_secret

    new = stub.Register(registration(server, secret=""), metadata=bearer(secret))
    job_id = stub.SubmitJob(remote.submission(token=""), metadata=remote.by_token).jobid
    found = stub.RequestJobs(pb.RequestJobsRequest(cluster=remote.name), metadata=remote.by_secret)
    accepted = stub.AcceptJobs(
        pb.AcceptJobsRequest(cluster=remote.name, jobids=[job_id]),
        metadata=(("authorization", f"bEARER {remote.secret}"),),
    )

    assert new.token
    assert list(found.jobids) == [job_id]
    assert [job.jobid for job in accepted.accepted] == [job_id]


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("SubmitJobs", pb.SubmitJobsRequest(jobs=[pb.JobSpec(nodes=1, command="x")])),
        ("GetJobs", pb.GetJobsRequest(jobids=[1])),
        ("ListJobs", pb.ListJobsRequest()),
        ("CancelJobs", pb.CancelJobsRequest(jobids=[1])),
        ("SummarizeJobs", pb.SummarizeJobsRequest()),
        ("RotateCredential", pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_SECRET)),
    ],
)
def test_a_new_call_wants_a_good_credential_in_the_metadata(
    remote: Remote, other_remote: Remote, server: RainbowServer, call: str, request_: Any
) -> None:
    before = count(server.database_url, "jobs_job")
    elsewhere = type(request_)()
    elsewhere.CopyFrom(request_)
    elsewhere.cluster = other_remote.name

    method = getattr(remote.stub, call)

    assert refusal_of(method, request_).text.endswith(" is required")
    assert refusal_of(method, request_, metadata=(("authorization", remote.secret),)).text.endswith(" is required")
    assert refusal_of(method, request_, metadata=bearer("wrong")) == DENIED
    assert refusal_of(method, elsewhere, metadata=remote.by_token) == DENIED
    assert refusal_of(method, elsewhere, metadata=remote.by_secret) == DENIED
    assert count(server.database_url, "jobs_job") == before
