"""Extension fields of the frozen calls' replies: clients of the original protocol print what they do not know."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec
from tests.support import contract
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import SERVICE, Metadata, Remote, bearer, registration

KEY: Metadata = (("rainbow-extensions", "1"),)


class Bytes:
    """Calls of which the reply is only bytes, and metadata only what is given."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def fields(self, rpc: str, request: Message, metadata: Metadata = ()) -> set[int]:
        """The numbers of the fields that the reply has."""
        call = self._channel.unary_unary(f"{SERVICE}/{rpc}")
        return _numbers(call(request.SerializeToString(), metadata=metadata, timeout=PATIENCE_SECONDS))

    def fields_of_stream(self, *requests: pb.Request, metadata: Metadata = ()) -> list[set[int]]:
        call = self._channel.stream_stream(f"{SERVICE}/Stream")
        data = [request.SerializeToString() for request in requests]
        return [_numbers(reply) for reply in call(iter(data), metadata=metadata, timeout=PATIENCE_SECONDS)]


def _numbers(reply: bytes) -> set[int]:
    unknown = Empty.FromString(reply)
    fields: Any = UnknownFieldSet(unknown)
    return {field.field_number for field in fields}


@pytest.fixture
def client(server: RainbowServer) -> Iterator[Bytes]:
    with grpc.insecure_channel(server.address) as channel:
        yield Bytes(channel)


# For each frozen call a request, and what its reply has beside extensions. Each would have an extension field, too.
CASES: list[tuple[str, Callable[[Remote], Message], set[int], set[int]]] = [
    ("SubmitJob", lambda remote: remote.submission(), {1, 2, 3}, {21, 23}),
    ("RequestJobs", lambda remote: _with_a_job(remote, _request_of(remote)), {1, 2, 3}, {20}),
    ("AcceptJobs", lambda remote: remote.acceptance(remote.submit().jobid, 2**31 - 1), {1}, {20, 21}),
    ("Serial", lambda remote: pb.Request(content=pb.Content(id="one")), {1, 2, 3, 4}, {20, 21}),
]


@pytest.mark.parametrize(("rpc", "request_of", "frozen", "extensions"), CASES, ids=[case[0] for case in CASES])
def test_a_bare_client_of_the_original_protocol_gets_frozen_fields_alone(
    client: Bytes,
    remote: Remote,
    rpc: str,
    request_of: Callable[[Remote], Message],
    frozen: set[int],
    extensions: set[int],
) -> None:
    assert client.fields(rpc, request_of(remote)) == frozen
    assert client.fields(rpc, request_of(remote), KEY) == frozen | extensions


def test_a_registration_is_answered_with_frozen_fields_alone(client: Bytes, server: RainbowServer) -> None:
    assert client.fields("Register", registration(server)) == {1, 2, 3, 4}
    assert client.fields("Register", registration(server), KEY) == {1, 2, 3, 4}


def test_a_stream_has_extensions_for_those_who_name_the_key(client: Bytes) -> None:
    two = [pb.Request(content=pb.Content(id=id)) for id in ("one", "two")]

    assert client.fields_of_stream(*two) == [{1, 2, 3, 4}] * 2
    assert client.fields_of_stream(*two, metadata=KEY) == [{1, 2, 3, 4, 20, 21}] * 2


EXTENDED: list[tuple[str, Callable[[Remote], Message], set[int]]] = [
    ("SubmitJob", lambda remote: remote.submission(priority=1), {21, 23}),
    ("SubmitJob", lambda remote: remote.submission(labels={"a": "b"}), {21, 23}),
    ("RequestJobs", lambda remote: _with_a_job(remote, _request_of(remote, max_nodes=1)), {20}),
    ("AcceptJobs", lambda remote: remote.acceptance(remote.submit().jobid, agent="agent-1"), {20}),
]


@pytest.mark.parametrize(("rpc", "request_of", "extensions"), EXTENDED)
def test_a_client_that_uses_an_extension_gets_those_of_the_reply(
    client: Bytes, remote: Remote, rpc: str, request_of: Callable[[Remote], Message], extensions: set[int]
) -> None:
    fields = client.fields(rpc, request_of(remote))

    assert {number for number in fields if number >= contract.FIRST_EXTENSION} == extensions


def test_a_credential_in_the_metadata_is_no_extension_field(client: Bytes, remote: Remote) -> None:
    submission = remote.submission(token="")

    assert client.fields("SubmitJob", submission, bearer(remote.token)) == {1, 2, 3}


def test_a_paused_cluster_shows_in_a_frozen_field_that_it_gets_no_jobs(remote: Remote, client: Bytes) -> None:
    remote.submit()
    report = pb.ReportJobsRequest(agent="agent-1", pause="maintenance")
    remote.stub.ReportJobs(report, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)

    # NORESULTS is 0, and so not there; nor is a job.
    assert client.fields("RequestJobs", _request_of(remote)) == {1}
    assert client.fields("RequestJobs", _request_of(remote), KEY) == {1, 21}


def test_other_calls_are_whole_for_all(remote: Remote, client: Bytes) -> None:
    """Messages that are not frozen have fields above 19 that belong to them."""
    job_id = remote.submit().jobid
    request = pb.GetJobsRequest(jobids=[job_id])
    (job,) = remote.stub.GetJobs(request, metadata=remote.by_secret, timeout=PATIENCE_SECONDS).jobs

    assert job.HasField("submitted_at")
    assert job.why_waiting


def test_our_client_names_the_key_in_every_call(remote: Remote, server: RainbowServer) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token, secret=remote.secret) as client:
        submission = client.submit_job(JobSpec(command="hostname"))

        assert (submission.position, submission.warning) == (1, f"{remote.name} has never asked for jobs")
        assert [job.id for job in client.request_jobs().jobs] == [submission.jobid]
        assert [job.jobid for job in client.accept_jobs([submission.jobid]).accepted] == [submission.jobid]
        assert client.serial("one").answered_at


def test_our_client_hears_of_a_pause_in_a_request_that_it_does_not_wait_for(
    remote: Remote, server: RainbowServer
) -> None:
    report = pb.ReportJobsRequest(agent="agent-1", pause="maintenance")
    remote.stub.ReportJobs(report, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)

    with Client(server.address, cluster=remote.name, secret=remote.secret) as client:
        pending = client.begin_request(max_jobs=1, wait_seconds=0, max_nodes=0, max_tasks=0)
        done = threading.Event()
        pending.when_done(done.set)

        assert done.wait(PATIENCE_SECONDS)
        assert pending.result().paused == "maintenance"


def _request_of(remote: Remote, **fields: Any) -> pb.RequestJobsRequest:
    return pb.RequestJobsRequest(cluster=remote.name, secret=remote.secret, **fields)


def _with_a_job(remote: Remote, request: Message) -> Message:
    remote.submit()
    return request
