"""Bytes that no generated client would write: each is refused, and changes nothing."""

import socket
from collections.abc import Iterable, Iterator

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer, on_h2corn
from tests.support.wire import METHODS, SERVICE, UNARY, Refusal, Remote, refusal_in, refusal_of


def call_raw(server: RainbowServer, call: str, data: bytes) -> bytes:
    with grpc.insecure_channel(server.address) as channel:
        return channel.unary_unary(f"{SERVICE}/{call}")(data, timeout=PATIENCE_SECONDS)


def refusals_of_raw(server: RainbowServer, call: str, messages: Iterable[tuple[str, bytes]]) -> dict[str, Refusal]:
    """What the server says to each, by the names that they have."""
    with grpc.insecure_channel(server.address) as channel:
        method = channel.unary_unary(f"{SERVICE}/{call}")
        return {name: refusal_of(method, data) for name, data in messages}


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


def fields_of(call: str, types: set[int]) -> dict[str, tuple[FieldDescriptor, ...]]:
    found = paths(METHODS[call].input_type, types)
    return {".".join(field.name for field in path): path for path in found}


def calls_with(types: set[int]) -> list[str]:
    return [call for call in UNARY if fields_of(call, types)]


TEXT, NUMBERS = {FieldDescriptor.TYPE_STRING}, {FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_ENUM}
NO_MESSAGES = {
    "tag": b"\xff",
    "length": b"\x0a\xff\xff\xff\xff\x0f",
    "type": b"\x07",
    "short": b"\x0a\x05ab",
    "groups": b"\x0b" * 200,
}
TOO_LARGE = (2**31, 2**32 + 1, 2**32 + 2**28, -(2**31) - 1, 2**63 - 1)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("call", calls_with(TEXT))
def test_text_that_is_not_utf_8_is_refused_by_its_field(server: RainbowServer, call: str) -> None:
    fields = fields_of(call, TEXT)
    messages = ((name, wrapped(path, entry(path[-1].number, b"caf\xe9"))) for name, path in fields.items())

    refusals = refusals_of_raw(server, call, messages)

    assert refusals == {name: invalid(path[0].name, "must be valid UTF-8") for name, path in fields.items()}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("call", calls_with(NUMBERS))
def test_a_number_that_needs_more_than_32_bits_is_refused_by_its_field(server: RainbowServer, call: str) -> None:
    fields = fields_of(call, NUMBERS)
    messages = (
        (f"{name} {number}", wrapped(path, numbered(path[-1], number)))
        for name, path in fields.items()
        for number in TOO_LARGE
    )

    refusals = refusals_of_raw(server, call, messages)

    assert refusals == {
        f"{name} {number}": invalid(path[0].name, "must be -2,147,483,648 to 2,147,483,647")
        for name, path in fields.items()
        for number in TOO_LARGE
    }


def numbered(field: FieldDescriptor, number: int) -> bytes:
    return entry(field.number, varint(number)) if field.is_repeated else varint(field.number << 3) + varint(number)


def invalid(field: str, text: str) -> Refusal:
    return Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=f"{field}: {text}", field=field)


def test_bytes_that_a_generated_client_would_write_otherwise_are_read_all_the_same(
    remote: Remote, server: RainbowServer
) -> None:
    plain = remote.submission(labels={"b": "1", "a": "2"})
    # A later field first, a field twice, a varint with idle zeros, a field that nobody knows, a large time.
    plain.sent.seconds = 2**40
    odd = entry(6, b"first") + b"\x20\x85\x80\x80\x00" + plain.SerializeToString() + b"\x28\x84\x00" + entry(99, b"?")

    job_id = pb.SubmitJobResponse.FromString(call_raw(server, "SubmitJob", odd)).jobid

    job = remote.job(job_id)
    assert (job.command, job.nodes, job.tasks, dict(job.labels)) == ("hostname", 1, 4, {"a": "2", "b": "1"})


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("call", UNARY)
def test_bytes_that_are_no_message_are_refused(server: RainbowServer, call: str) -> None:
    refusals = refusals_of_raw(server, call, NO_MESSAGES.items())

    text = f"the request is not a {METHODS[call].input_type.name}"
    assert refusals == dict.fromkeys(NO_MESSAGES, Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=text, field=""))


NO_COMPRESSION = "this server takes no compressed requests; send them without compression"
FOR_ANYBODY = {"Serial", "RevokeLeaked", "BeginLogin", "CollectLogin"}


@pytest.mark.usefixtures("unharmed")
def test_an_empty_body_is_a_message_without_fields(server: RainbowServer) -> None:
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
        (refusal,) = refusals_of_raw(server, call, [("empty", b"")]).values()
        assert (refusal.code, refusal.text) == (grpc.StatusCode.UNAUTHENTICATED, expected.get(call, either))
    assert pb.Response.FromString(call_raw(server, "Serial", b"")).message_count == 1


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
