"""Bytes that no generated client would write: each is refused, and changes nothing."""

import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer, on_h2corn
from tests.support.wire import METHODS, SERVICE, UNARY, Refusal, Remote, refusal_in, refusal_of


def call_raw(remote: Remote, server: RainbowServer, call: str, data: bytes, **options: Any) -> bytes:
    with grpc.insecure_channel(server.address) as channel:
        return channel.unary_unary(f"{SERVICE}/{call}")(data, **{"timeout": 10, **options})


def refusal_of_raw(remote: Remote, server: RainbowServer, call: str, data: bytes, **options: Any) -> Refusal:
    with pytest.raises(grpc.RpcError) as caught:
        call_raw(remote, server, call, data, **options)
    return refusal_in(caught.value)


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes([*data, number])


def entry(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def paths(descriptor: Descriptor, types: set[int]) -> Iterator[tuple[FieldDescriptor, ...]]:
    """The ways from a message to its fields of these types, down through its own messages."""
    for field in descriptor.fields:
        if field.type in types:
            yield (field,)
        if field.message_type and field.message_type.file == pb.DESCRIPTOR:
            yield from ((field, *further) for further in paths(field.message_type, types))


def wrapped(path: tuple[FieldDescriptor, ...], data: bytes) -> bytes:
    """The bytes of the innermost field, inside the messages that lead to it."""
    for field in reversed(path[:-1]):
        data = entry(field.number, data)
    return data


def fields_of_requests(types: set[int]) -> list[Any]:
    return [
        pytest.param(call, path, id=f"{call}-{'.'.join(field.name for field in path)}")
        for call in UNARY
        for path in paths(METHODS[call].input_type, types)
    ]


TEXT, NUMBERS = {FieldDescriptor.TYPE_STRING}, {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(("call", "path"), fields_of_requests(TEXT))
def test_text_that_is_not_utf_8_is_refused_by_its_field(
    remote: Remote, server: RainbowServer, call: str, path: tuple[FieldDescriptor, ...]
) -> None:
    data = wrapped(path, entry(path[-1].number, b"caf\xe9"))

    refusal = refusal_of_raw(remote, server, call, data)

    assert refusal == Refusal(
        code=grpc.StatusCode.INVALID_ARGUMENT,
        text=f"{path[0].name}: must be valid UTF-8",
        field=path[0].name,
    )


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("number", [2**31, 2**32 + 1, 2**32 + 2**28, -(2**31) - 1, 2**63 - 1])
@pytest.mark.parametrize(("call", "path"), fields_of_requests(NUMBERS))
def test_a_number_that_needs_more_than_32_bits_is_refused_by_its_field(
    remote: Remote, server: RainbowServer, call: str, path: tuple[FieldDescriptor, ...], number: int
) -> None:
    field = path[-1]
    packed = entry(field.number, varint(number)) if field.is_repeated else varint(field.number << 3) + varint(number)

    refusal = refusal_of_raw(remote, server, call, wrapped(path, packed))

    assert refusal == Refusal(
        code=grpc.StatusCode.INVALID_ARGUMENT,
        text=f"{path[0].name}: must be -2,147,483,648 to 2,147,483,647",
        field=path[0].name,
    )


def test_bytes_that_a_generated_client_would_write_otherwise_are_read_all_the_same(
    remote: Remote, server: RainbowServer
) -> None:
    plain = remote.submission(labels={"b": "1", "a": "2"})
    # A later field first, a field twice, a varint with idle zeros, a field that nobody knows, a large time.
    plain.sent.seconds = 2**40
    odd = entry(6, b"first") + b"\x20\x85\x80\x80\x00" + plain.SerializeToString() + b"\x28\x84\x00" + entry(99, b"?")

    job_id = pb.SubmitJobResponse.FromString(call_raw(remote, server, "SubmitJob", odd)).jobid

    job = remote.job(job_id)
    assert (job.command, job.nodes, job.tasks, dict(job.labels)) == ("hostname", 1, 4, {"a": "2", "b": "1"})


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("call", UNARY)
@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x07", b"\x0a\x05ab", b"\x0b" * 200],
    ids=["tag", "length", "type", "short", "groups"],
)
def test_bytes_that_are_no_message_are_refused(remote: Remote, server: RainbowServer, call: str, data: bytes) -> None:
    refusal = refusal_of_raw(remote, server, call, data)

    kind = METHODS[call].input_type.name
    assert refusal == Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=f"the request is not a {kind}", field="")


NO_COMPRESSION = "this server takes no compressed requests; send them without compression"
FOR_ANYBODY = {"Serial", "RevokeLeaked", "BeginLogin", "CollectLogin"}


@pytest.mark.usefixtures("unharmed")
def test_an_empty_body_is_a_message_without_fields(remote: Remote, server: RainbowServer) -> None:
    expected = {
        "Register": "request denied",
        "SubmitJob": "a cluster token is required",
        "RequestJobs": "a cluster secret is required",
        "AcceptJobs": "a cluster secret is required",
        "SubmitJobs": "a cluster token is required",
        "RotateCredential": "a cluster secret is required",
        "AwaitWishes": "a cluster secret is required",
        "GetInput": "a cluster secret is required",
        "ResubmitJobs": "a cluster token is required",
        "ReportJobs": "a cluster secret is required",
        "ListTokens": "a personal token is required",
        "CreateToken": "a personal token is required",
        "RevokeToken": "a personal token is required",
    }
    either = "a cluster token or secret is required"

    for call in set(UNARY) - FOR_ANYBODY:
        refusal = refusal_of_raw(remote, server, call, b"")
        assert (refusal.code, refusal.text) == (grpc.StatusCode.UNAUTHENTICATED, expected.get(call, either))
    assert pb.Response.FromString(call_raw(remote, server, "Serial", b"")).message_count == 1


@pytest.mark.usefixtures("unharmed")
def test_a_message_above_the_limit_is_refused(remote: Remote) -> None:
    request = remote.submission(command="x" * (4 * 1024 * 1024))

    assert refusal_of(remote.stub.SubmitJob, request).code == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("compression", "text"),
    [
        (grpc.Compression.Gzip, NO_COMPRESSION),
        (grpc.Compression.Deflate, "Compression algorithm 'deflate' is disabled."),
    ],
    ids=["gzip", "deflate"],
)
@pytest.mark.parametrize("command", ["compressed " * 20, "compressed " * 5_000], ids=["small", "large"])
def test_a_compressed_request_is_refused(
    remote: Remote, compression: grpc.Compression, text: str, command: str
) -> None:
    refusal = refusal_of(remote.stub.SubmitJob, remote.submission(command), compression=compression)

    # grpcio itself refuses deflate.
    expected = NO_COMPRESSION if on_h2corn() else text
    assert (refusal.code, refusal.text) == (grpc.StatusCode.UNIMPLEMENTED, expected)


@pytest.mark.usefixtures("unharmed")
def test_a_compressed_message_of_a_stream_is_refused(remote: Remote) -> None:
    requests = iter([pb.SubmitJobStreamRequest(jobs=[pb.JobSpec(command="x" * 1_000, nodes=1)])])

    with pytest.raises(grpc.RpcError) as refused:
        list(remote.stub.SubmitJobStream(requests, metadata=remote.by_token, compression=grpc.Compression.Gzip))

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "path", [f"{SERVICE}/Forget", f"{SERVICE}/submitJob", f"{SERVICE}/", "/other.Service/SubmitJob", "/", "SubmitJob"]
)
def test_a_call_that_nobody_knows_is_unimplemented(remote: Remote, server: RainbowServer, path: str) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path)(b"", timeout=PATIENCE_SECONDS)

    is_path = path.startswith("/")
    # What is no path of HTTP is reset by h2corn itself.
    expected = grpc.StatusCode.UNIMPLEMENTED if is_path or not on_h2corn() else grpc.StatusCode.INTERNAL
    assert caught.value.code() == expected


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("number", [0, 2])
def test_a_call_of_one_message_that_brings_none_or_two_harms_nobody(server: RainbowServer, number: int) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_unary(f"{SERVICE}/Register").future(iter([b""] * number), timeout=0.5)

        assert call.exception()
        assert call.code() not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)


@pytest.mark.usefixtures("unharmed")
def test_a_broken_message_ends_its_stream_after_the_answers_before_it(remote: Remote, server: RainbowServer) -> None:
    good = pb.Request(content=pb.Content(id="good")).SerializeToString()
    with grpc.insecure_channel(server.address) as channel:
        replies = channel.stream_stream(f"{SERVICE}/Stream")(
            iter([good, entry(1, entry(1, b"\xff"))]), timeout=PATIENCE_SECONDS
        )

        first = pb.Response.FromString(next(replies))
        with pytest.raises(grpc.RpcError) as caught:
            next(replies)

    assert first.request_id == "good"
    assert refusal_in(caught.value) == Refusal(
        code=grpc.StatusCode.INVALID_ARGUMENT, text="content: must be valid UTF-8", field="content"
    )


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 4_096],
    ids=["http", "tls", "zeros"],
)
def test_what_is_not_grpc_at_all_harms_nobody(server: RainbowServer, data: bytes) -> None:
    host, _, port = server.address.rpartition(":")

    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as stranger:
        stranger.sendall(data)
        stranger.shutdown(socket.SHUT_WR)
        while stranger.recv(4_096):
            pass
