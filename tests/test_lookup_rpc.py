"""Jobs shown, listed and counted over gRPC."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import add_token, execute
from tests.support.servers import RainbowServer
from tests.support.wire import FULL, Remote, bearer, cancel, ids_of, pages, refusal_of, spec

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
