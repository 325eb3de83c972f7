"""The contract's table of behaviour, row by row, through a real server."""

import json
import re
from uuid import UUID

import grpc
import pytest

from rainbow import __version__
from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import DENIED, Refusal, Remote, joined, new_name, refusal_of, registration

SUCCESS = pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS
PARTIAL = pb.AcceptJobsResponse.RESULT_TYPE_PARTIAL
INT_MAX, INT_MIN = 2**31 - 1, -(2**31)
# What a client takes in one message unless it says otherwise.
CLIENT_LIMIT = 4 * 1024 * 1024


def complaint(field: str, text: str) -> Refusal:
    return Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=f"{field}: {text}", field=field)


def test_a_new_cluster_gets_a_token_and_a_secret(remote: Remote, server: RainbowServer) -> None:
    new = remote.stub.Register(registration(server))

    assert new.status == pb.RegisterResponse.REGISTER_SUCCESS
    assert UUID(new.request_id).version == 4
    assert len({new.token, new.secret, remote.token, remote.secret}) == 4
    # 128 bits are 22 characters of base64.
    assert min(len(new.token), len(new.secret)) >= 22


def test_a_cluster_that_exists_gets_no_credentials_and_keeps_its_own(remote: Remote, server: RainbowServer) -> None:
    again = remote.stub.Register(registration(server, name=remote.name))

    assert again.status == pb.RegisterResponse.REGISTER_EXISTS
    assert (again.token, again.secret) == ("", "")
    assert remote.submit().status == pb.SubmitJobResponse.SUBMIT_SUCCESS


def test_the_name_of_a_cluster_is_compared_exactly(remote: Remote, server: RainbowServer) -> None:
    shouted = remote.stub.Register(registration(server, name=remote.name.upper()))

    assert shouted.status == pb.RegisterResponse.REGISTER_SUCCESS


@pytest.mark.parametrize("secret", ["", "wrong", "for-the-tests-onl", "for-the-tests-only "])
def test_a_wrong_or_empty_registration_secret_is_denied(remote: Remote, server: RainbowServer, secret: str) -> None:
    stranger = registration(server, secret=secret)

    assert refusal_of(remote.stub.Register, stranger) == DENIED
    assert remote.stub.Register(registration(server, name=stranger.name)).token


@pytest.mark.parametrize(
    "name",
    ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "\na", "ä", "a" * 64, "a;drop table", "'", "a\0", "\u03b1", "a\u200b"],
)
def test_an_empty_or_malformed_name_of_a_cluster_is_refused_by_its_rule(
    remote: Remote, server: RainbowServer, name: str
) -> None:
    refusal = refusal_of(remote.stub.Register, registration(server, name=name))

    rule = "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit"
    assert refusal == complaint("name", rule)


@pytest.mark.parametrize("length", [1, 63])
def test_the_shortest_and_the_longest_name_of_a_cluster_are_taken(
    remote: Remote, server: RainbowServer, length: int
) -> None:
    name = "A.b_c-9" * 9 if length == 63 else "z"

    assert len(name) == length
    assert remote.stub.Register(registration(server, name=name)).status == pb.RegisterResponse.REGISTER_SUCCESS


def test_a_submission_with_the_right_token_gets_the_real_id_which_rises(remote: Remote) -> None:
    first, second = remote.submit(), remote.submit()

    assert first.status == second.status == pb.SubmitJobResponse.SUBMIT_SUCCESS
    assert 1 <= first.jobid < second.jobid
    assert first.request_id != second.request_id


def test_the_first_job_of_a_server_has_the_id_one(start_server) -> None:
    with joined(start_server()) as alone:
        assert alone.submit().jobid == 1


def test_a_job_without_a_name_is_stored_without_one(remote: Remote) -> None:
    job_id = remote.submit(command="sleep 1").jobid

    assert json.loads(remote.request().jobs[job_id])["name"] == ""


def test_a_wrong_token_a_secret_and_an_unknown_cluster_get_one_answer(remote: Remote, other_remote: Remote) -> None:
    wrong = [
        remote.submission(token="wrong"),
        remote.submission(token=remote.secret),
        remote.submission(token=other_remote.token),
        remote.submission(cluster=new_name()),
        remote.submission(cluster=other_remote.name),
        remote.submission(cluster=""),
        remote.submission(cluster="not a name", token="wrong"),
    ]

    assert [refusal_of(remote.stub.SubmitJob, request) for request in wrong] == [DENIED] * len(wrong)
    assert not remote.request().jobs


@pytest.mark.parametrize("call", ["RequestJobs", "AcceptJobs"])
def test_a_wrong_secret_a_token_and_an_unknown_cluster_get_one_answer(
    remote: Remote, other_remote: Remote, call: str
) -> None:
    job_id = remote.submit().jobid
    kind = pb.RequestJobsRequest if call == "RequestJobs" else pb.AcceptJobsRequest
    ids = {} if call == "RequestJobs" else {"jobids": [job_id]}
    wrong = [
        kind(cluster=remote.name, secret="wrong", **ids),
        kind(cluster=remote.name, secret=remote.token, **ids),
        kind(cluster=remote.name, secret=other_remote.secret, **ids),
        kind(cluster=new_name(), secret=remote.secret, **ids),
        kind(cluster=other_remote.name, secret=remote.secret, **ids),
    ]

    refusals = [refusal_of(getattr(remote.stub, call), request) for request in wrong]

    assert refusals == [DENIED] * len(wrong)
    assert list(remote.request().jobs) == [job_id]


def test_a_request_without_a_credential_is_told_which_one_is_required(remote: Remote) -> None:
    requests = [
        (remote.stub.SubmitJob, remote.submission(token=""), "a cluster token is required"),
        (remote.stub.RequestJobs, pb.RequestJobsRequest(cluster=remote.name), "a cluster secret is required"),
        (remote.stub.AcceptJobs, pb.AcceptJobsRequest(cluster=remote.name), "a cluster secret is required"),
    ]

    for call, request, text in requests:
        assert refusal_of(call, request) == Refusal(code=grpc.StatusCode.UNAUTHENTICATED, text=text, field="")


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"nodes": 0}, complaint("nodes", "must be 1 to 2,147,483,647, not 0")),
        ({"nodes": -1}, complaint("nodes", "must be 1 to 2,147,483,647, not -1")),
        ({"nodes": INT_MIN}, complaint("nodes", "must be 1 to 2,147,483,647, not -2,147,483,648")),
        ({"tasks": -1}, complaint("tasks", "must be 0 to 2,147,483,647, not -1")),
        ({"command": ""}, complaint("command", "must not be empty")),
        ({"command": " \t\n"}, complaint("command", "must not be empty")),
        ({"command": "x" * 65_537}, complaint("command", "must be at most 65,536 bytes, not 65,537")),
        ({"command": "ä" * 32_769}, complaint("command", "must be at most 65,536 bytes, not 65,538")),
    ],
)
def test_nodes_tasks_and_command_out_of_range_are_refused_by_name(
    remote: Remote, fields: dict[str, object], refusal: Refusal
) -> None:
    assert refusal_of(remote.stub.SubmitJob, remote.submission(**fields)) == refusal
    assert not remote.request().jobs


@pytest.mark.parametrize("fields", [{"nodes": 1, "tasks": 0}, {"nodes": INT_MAX, "tasks": INT_MAX}])
def test_the_least_and_the_most_nodes_and_tasks_are_taken(remote: Remote, fields: dict[str, int]) -> None:
    job_id = remote.submit(**fields).jobid

    job = json.loads(remote.request().jobs[job_id])
    assert {name: job[name] for name in fields} == fields


@pytest.mark.parametrize("max_jobs", [None, 0, -1, INT_MIN])
def test_a_request_for_no_number_of_jobs_gets_all_of_them(remote: Remote, max_jobs: int | None) -> None:
    ids = [remote.submit().jobid for _ in range(3)]

    found = remote.request(maxJobs=max_jobs)

    assert found.status == pb.RequestJobsResponse.REQUEST_JOBS_SUCCESS
    assert sorted(found.jobs) == list(found.jobids) == ids


@pytest.mark.parametrize("max_jobs", [1, 2, 3, 4, INT_MAX])
def test_a_request_for_some_jobs_gets_the_oldest(remote: Remote, max_jobs: int) -> None:
    ids = [remote.submit().jobid for _ in range(3)]

    found = remote.request(maxJobs=max_jobs)

    assert sorted(found.jobs) == list(found.jobids) == ids[:max_jobs]


def test_where_nothing_waits_there_are_no_results(remote: Remote, other_remote: Remote) -> None:
    other_remote.submit()

    found = remote.request()

    assert found.status == pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS
    assert not found.jobs
    assert UUID(found.request_id)


def test_requesting_reserves_nothing(remote: Remote) -> None:
    ids = [remote.submit().jobid for _ in range(2)]

    first, second = remote.request(), remote.request()

    assert first.jobs == second.jobs
    assert remote.accept(*ids).status == SUCCESS


def test_accepting_takes_jobs_off_the_queue_and_keeps_their_records(remote: Remote) -> None:
    first, second, third = (remote.submit().jobid for _ in range(3))

    answer = remote.accept(third, first)

    assert answer.status == SUCCESS
    assert [(job.jobid, job.attempt) for job in answer.accepted] == [(third, 1), (first, 1)]
    assert not answer.refused
    assert list(remote.request().jobs) == [second]
    assert remote.job(first).state == pb.JOB_STATE_ACCEPTED


def test_accepting_what_is_not_there_says_partial_and_which_and_why(remote: Remote, other_remote: Remote) -> None:
    mine, taken, cancelled, theirs = (
        remote.submit().jobid,
        remote.submit().jobid,
        remote.submit().jobid,
        other_remote.submit().jobid,
    )
    remote.accept(taken)
    remote.stub.CancelJobs(pb.CancelJobsRequest(jobids=[cancelled]), metadata=remote.by_secret)

    answer = remote.accept(mine, mine, taken, cancelled, theirs, INT_MAX, 0, -5)

    refused = pb.RefusedJob
    assert answer.status == PARTIAL
    assert [job.jobid for job in answer.accepted] == [mine]
    assert [(job.jobid, job.reason) for job in answer.refused] == [
        (mine, refused.REASON_REPEATED),
        (taken, refused.REASON_NOT_QUEUED),
        (cancelled, refused.REASON_NOT_QUEUED),
        (theirs, refused.REASON_NOT_FOUND),
        (INT_MAX, refused.REASON_NOT_FOUND),
        (0, refused.REASON_NOT_FOUND),
        (-5, refused.REASON_NOT_FOUND),
    ]
    assert all(job.message for job in answer.refused)
    assert list(other_remote.request().jobs) == [theirs]


def test_accepting_nothing_is_refused_once_the_secret_was_checked(remote: Remote) -> None:
    text = "one or more jobs must be accepted"

    refusal = refusal_of(remote.stub.AcceptJobs, remote.acceptance())
    stranger = refusal_of(remote.stub.AcceptJobs, pb.AcceptJobsRequest(cluster=remote.name, secret="wrong"))

    assert (refusal.code, refusal.text) == (grpc.StatusCode.INVALID_ARGUMENT, text)
    assert stranger == DENIED


def test_a_job_that_uses_nothing_else_is_one_line_of_json_as_it_always_was(remote: Remote) -> None:
    command = "echo \"a\\b\" <in >out && printf '\u2028\u2029' # ümläut 🌈\n\tdone"

    job_id = remote.submit(command, name="<&>", nodes=2, tasks=0).jobid

    assert remote.request().jobs[job_id] == (
        f'{{"id":{job_id},"cluster":"{remote.name}","name":"\\u003c\\u0026\\u003e","nodes":2,"tasks":0,'
        '"command":"echo \\"a\\\\b\\" \\u003cin \\u003eout \\u0026\\u0026 printf \'\\u2028\\u2029\''
        ' # ümläut 🌈\\n\\tdone"}'
    )


def test_further_keys_follow_only_where_they_are_set(remote: Remote) -> None:
    job_id = remote.submit(
        priority=-5,
        time_limit_seconds=60,
        environment={"A": "<1>"},
        working_directory="/tmp",
        labels={"team": "x&y"},
        idempotency_key="once",
        on_lost=pb.ON_LOST_REQUEUE,
    ).jobid

    assert remote.request().jobs[job_id] == (
        f'{{"id":{job_id},"cluster":"{remote.name}","name":"","nodes":1,"tasks":0,"command":"hostname",'
        '"priority":-5,"time_limit_seconds":60,"environment":{"A":"\\u003c1\\u003e"},'
        '"working_directory":"/tmp","labels":{"team":"x\\u0026y"}}'
    )


def test_one_message_echoes_its_id_and_is_counted(remote: Remote) -> None:
    reply = remote.stub.Serial(pb.Request(content=pb.Content(id="one")))
    reply.ClearField("answered_at")

    assert reply == pb.Response(
        request_id="one",
        message_count=1,
        messages_processed=1,
        processing_details="processed successfully",
        server_version=__version__,
    )


def test_a_stream_counts_its_messages_and_ends_well_when_its_client_closes_it(remote: Remote) -> None:
    ids = ["a", "", "c"]

    stream = remote.stub.Stream(iter([pb.Request(content=pb.Content(id=id)) for id in ids]), timeout=PATIENCE_SECONDS)
    replies = list(stream)

    assert [(reply.request_id, reply.message_count, reply.messages_processed) for reply in replies] == [
        ("a", 1, 1),
        ("", 2, 2),
        ("c", 3, 3),
    ]
    assert stream.code() == grpc.StatusCode.OK


def test_a_stream_without_messages_ends_well(remote: Remote) -> None:
    stream = remote.stub.Stream(iter([]), timeout=PATIENCE_SECONDS)

    assert list(stream) == []
    assert stream.code() == grpc.StatusCode.OK


@pytest.mark.parametrize("command", ["<" * 60_000, "x" * 60_000, "ä" * 30_000])
def test_all_jobs_are_those_that_fit_what_a_client_takes_by_default_and_accepting_them_shows_the_rest(
    remote: Remote, command: str
) -> None:
    batch = [pb.JobSpec(nodes=1, command=command) for _ in range(50)]
    ids = [result.jobid for _ in range(2) for result in remote.submit_many(*batch).results]
    rounds: list[pb.RequestJobsResponse] = []

    while (found := remote.request()).jobs:
        rounds.append(found)
        remote.accept(*found.jobids)

    assert [job_id for found in rounds for job_id in found.jobids] == ids
    assert len(rounds) > 1
    assert all(found.ByteSize() < CLIENT_LIMIT for found in rounds)
    # It stops where the next job would not fit, not long before.
    assert all(found.ByteSize() > CLIENT_LIMIT * 0.8 for found in rounds[:-1])


def test_many_small_jobs_fill_a_message_and_no_more(remote: Remote) -> None:
    sizes = (10_000, 10_000, 10_000, 10_000)
    ids = [
        result.jobid
        for size in sizes
        for result in remote.submit_many(*[pb.JobSpec(nodes=1, command="x")] * size).results
    ]

    found = remote.request()

    assert list(found.jobids) == ids[: len(found.jobids)]
    assert CLIENT_LIMIT * 0.8 < found.ByteSize() < CLIENT_LIMIT
    assert remote.accept(*found.jobids).status == SUCCESS
    assert list(remote.request().jobids) == ids[len(found.jobids) :]


def test_no_answer_names_a_credential_except_the_one_that_makes_it(remote: Remote) -> None:
    job_id = remote.submit().jobid

    seen = f"{remote.request()} {remote.job(job_id, with_events=True)}"

    assert not re.search(f"{remote.token}|{remote.secret}", seen)
