"""What nobody should send: each is refused by name and range, changes nothing, and harms nobody."""

import json
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count
from tests.support.servers import RainbowServer
from tests.support.wire import SERVICE, Metadata, Refusal, Remote, joined, refusal_in, refusal_of, registration

METHODS = {method.name: method for method in pb.DESCRIPTOR.services_by_name["RainbowScheduler"].methods}
UNARY = sorted(name for name, method in METHODS.items() if not (method.client_streaming or method.server_streaming))
FROZEN = ("Register", "SubmitJob", "RequestJobs", "AcceptJobs", "Serial")
INT_MAX, INT_MIN = 2**31 - 1, -(2**31)
TABLES = ("clusters_cluster", "clusters_credential", "jobs_job", "jobs_jobevent", "jobs_joblabel")

NASTY = "'; DROP TABLE jobs_job; --\" $(rm -rf /) `id` ${HOME} %s %(x)s {0} \\x00 \\ ../../etc | & ; > < * ? # ~ ! 🌈"
CONTROL = ["\0", "\x01", "\x1b[31m", "\x7f", "\x85", "\r"]


@pytest.fixture
def unharmed(remote: Remote, server: RainbowServer) -> Iterator[None]:
    """After the test the server serves and holds what it held before."""
    before = count(server.database_url, *TABLES)
    yield
    question = pb.Request(content=pb.Content(id="still here"))
    assert remote.stub.Serial(question, timeout=PATIENCE_SECONDS).request_id == "still here"
    assert count(server.database_url, *TABLES) == before


# Each field of a job: (its value, what the refusal says). SubmitJob and SubmitJobs hold to the same rules.
BAD_JOBS: list[tuple[str, Any, str]] = [
    ("name", "n" * 256, "must be at most 255 characters, not 256"),
    ("name", "two\nlines", "must not contain control characters"),
    *[("name", f"a{mark}b", "must not contain control characters") for mark in CONTROL],
    ("command", "", "must not be empty"),
    ("command", " \n\t ", "must not be empty"),
    ("command", "x" * 65_537, "must be at most 65,536 bytes, not 65,537"),
    *[("command", f"a{mark}b", "must not contain control characters other than tab and newline") for mark in CONTROL],
    ("nodes", 0, "must be 1 to 2,147,483,647, not 0"),
    ("nodes", INT_MIN, "must be 1 to 2,147,483,647, not -2,147,483,648"),
    ("tasks", -1, "must be 0 to 2,147,483,647, not -1"),
    ("time_limit_seconds", -1, "must be 0 to 31,536,000, not -1"),
    ("time_limit_seconds", 31_536_001, "must be 0 to 31,536,000, not 31,536,001"),
    ("priority", -101, "must be -100 to 100, not -101"),
    ("priority", 101, "must be -100 to 100, not 101"),
    ("priority", INT_MAX, "must be -100 to 100, not 2,147,483,647"),
    ("environment", {"A": "x" * 65_536}, "must be at most 65,536 bytes in all, not 65,537"),
    ("environment", {"A": "x" * 40_000, "B": "ä" * 15_000}, "must be at most 65,536 bytes in all, not 70,002"),
    ("environment", {"A": "a\0b"}, "values must not contain a null character"),
    *[
        ("environment", {name: "x"}, "names must be letters, digits and underscores, the first not a digit")
        for name in ("", "1A", "A=B", "A B", "A\n", "Ä", "A\0")
    ],
    ("working_directory", "relative/path", "must be an absolute path"),
    ("working_directory", "/" + "x" * 4_096, "must be at most 4,096 characters, not 4,097"),
    *[("working_directory", f"/a{mark}b", "must not contain control characters") for mark in CONTROL],
    ("labels", {f"key{number}": "" for number in range(33)}, "must be at most 32, not 33"),
    *[
        (
            "labels",
            {key: "x"},
            "keys must be 1 to 63 letters, digits, dots, underscores, slashes and hyphens, the first a letter or digit",
        )
        for key in ("", "-a", "a b", "a\n", "k" * 64, "ä", "a=b", "a\0")
    ],
    ("labels", {"a": "v" * 256}, "must be at most 255 characters, not 256"),
    *[("labels", {"a": f"b{mark}"}, "must not contain control characters") for mark in CONTROL],
    ("idempotency_key", "k" * 256, "must be at most 255 characters, not 256"),
    *[("idempotency_key", f"a{mark}b", "must not contain control characters") for mark in CONTROL],
    ("on_lost", 3, "must be one of 0, 1, 2, not 3"),
    ("on_lost", -1, "must be one of 0, 1, 2, not -1"),
]

# The other calls: (call, the fields of its request, the field at fault, what the refusal says).
BAD_REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("RequestJobs", {"wait_seconds": -1}, "wait_seconds", "must be 0 to 300, not -1"),
    ("RequestJobs", {"wait_seconds": 301}, "wait_seconds", "must be 0 to 300, not 301"),
    ("RequestJobs", {"max_nodes": -1}, "max_nodes", "must be 0 to 2,147,483,647, not -1"),
    ("RequestJobs", {"max_tasks": -1}, "max_tasks", "must be 0 to 2,147,483,647, not -1"),
    (
        "RequestJobs",
        {"max_time_limit_seconds": INT_MIN},
        "max_time_limit_seconds",
        "must be 0 to 2,147,483,647, not -2,147,483,648",
    ),
    ("RequestJobs", {"labels": {f"k{n}": "" for n in range(33)}}, "labels", "must be at most 32, not 33"),
    ("RequestJobs", {"labels": {"a": "\0"}}, "labels", "must not contain control characters"),
    ("AcceptJobs", {"jobids": range(1, 50_002)}, "jobids", "must be at most 50,000 ids, not 50,001"),
    ("AcceptJobs", {"jobids": [1], "agent": "a" * 256}, "agent", "must be at most 255 characters, not 256"),
    ("AcceptJobs", {"jobids": [1], "agent": "a\0"}, "agent", "must not contain control characters"),
    ("AcceptJobs", {"jobids": [1], "lease_seconds": 60}, "lease_seconds", "needs an agent's name"),
    *[
        (
            "AcceptJobs",
            {"jobids": [1], "agent": "a", "lease_seconds": seconds},
            "lease_seconds",
            f"must be 10 to 86,400, not {seconds:,}",
        )
        for seconds in (-1, 9, 86_401, INT_MIN)
    ],
    ("SubmitJobs", {}, "jobs", "must be 1 to 10,000, not 0"),
    ("GetJobs", {}, "jobids", "must be 1 to 1,000 ids, not 0"),
    ("GetJobs", {"jobids": range(1_001)}, "jobids", "must be 1 to 1,000 ids, not 1,001"),
    ("ListJobs", {"states": [0]}, "states", "must be one of 1, 2, 3, 4, 5, 6, 7, not 0"),
    ("ListJobs", {"states": [1, 8]}, "states", "must be one of 1, 2, 3, 4, 5, 6, 7, not 8"),
    ("ListJobs", {"name": "n" * 256}, "name", "must be at most 255 characters, not 256"),
    ("ListJobs", {"name": "a\0"}, "name", "must not contain control characters"),
    ("ListJobs", {"labels": {"": "x"}}, "labels", "keys must be 1 to 63"),
    ("ListJobs", {"labels": {"a": "\0"}}, "labels", "must not contain control characters"),
    ("ListJobs", {"page_size": -1}, "page_size", "must be 0 to 1,000, not -1"),
    ("ListJobs", {"page_size": 1_001}, "page_size", "must be 0 to 1,000, not 1,001"),
    *[
        ("ListJobs", {"page_token": token}, "page_token", "must be the next_page_token of an earlier answer")
        for token in ("x", "-1", "1.5", "1 OR 1=1", "\u0661", "1\0", "9" * 11, "9" * 5_000)
    ],
    ("CancelJobs", {}, "jobids", "must be 1 to 10,000 ids, not 0"),
    ("CancelJobs", {"jobids": range(10_001)}, "jobids", "must be 1 to 10,000 ids, not 10,001"),
    ("CancelJobs", {"jobids": [1], "reason": "r" * 1_001}, "reason", "must be at most 1,000 characters, not 1,001"),
    ("CancelJobs", {"jobids": [1], "reason": "a\0"}, "reason", "must not contain control characters"),
    ("RotateCredential", {}, "kind", "must be one of 1, 2, not 0"),
    ("RotateCredential", {"kind": 3}, "kind", "must be one of 1, 2, not 3"),
    ("RotateCredential", {"kind": 1, "grace_seconds": -1}, "grace_seconds", "must be 0 to 604,800"),
    ("RotateCredential", {"kind": 1, "grace_seconds": 604_801}, "grace_seconds", "must be 0 to 604,800"),
    ("RotateCredential", {"kind": 1, "grace_seconds": INT_MAX}, "grace_seconds", "must be 0 to 604,800"),
    ("RotateCredential", {"kind": 1, "label": "l" * 64}, "label", "must be at most 63 characters, not 64"),
    ("RotateCredential", {"kind": 1, "label": "a\0"}, "label", "must not contain control characters"),
]


def numbered(cases: Sequence[Any], name: Callable[[Any], str]) -> list[Any]:
    """The cases with names that can be read: the values are long or not printable."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else [case]), id=f"{name(case)}-{number}")
        for number, case in enumerate(cases)
    ]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(("field", "value", "text"), numbered(BAD_JOBS, lambda case: case[0]))
def test_a_job_with_a_bad_field_is_refused_by_its_name_and_range(
    remote: Remote, field: str, value: Any, text: str
) -> None:
    refusal = refusal_of(remote.stub.SubmitJob, remote.submission(**{field: value}))
    (result,) = remote.submit_many(pb.JobSpec(**{"nodes": 1, "command": "x", field: value})).results

    assert refusal == Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=f"{field}: {text}", field=field)
    assert (result.error.code, result.error.field, result.error.message) == ("INVALID_ARGUMENT", field, text)
    assert result.jobid == 0


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("call", "fields", "field", "text"), numbered(BAD_REQUESTS, lambda case: f"{case[0]}-{case[2]}")
)
def test_a_request_with_a_bad_field_is_refused_by_its_name_and_range(
    remote: Remote, call: str, fields: dict[str, Any], field: str, text: str
) -> None:
    request = GetMessageClass(METHODS[call].input_type)(cluster=remote.name, **fields)
    by = remote.by_token if call == "SubmitJobs" else remote.by_secret

    refusal = refusal_of(getattr(remote.stub, call), request, metadata=by)

    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert refusal.text.startswith(f"{field}: {text}")


GREATEST: list[dict[str, Any]] = [
    {"name": "n" * 255},
    {"name": "ä" * 255},
    {"command": "x" * 65_536},
    {"command": "a\tb\nc"},
    {"nodes": INT_MAX, "tasks": INT_MAX},
    {"time_limit_seconds": 31_536_000, "priority": 100},
    {"priority": -100},
    {"environment": {"A": "x" * 65_535}},
    {"environment": {"_a1": "two\nlines\x1b\r", "EMPTY": ""}},
    {"working_directory": "/" + "x" * 4_095},
    {"labels": {f"{number:03}" + "k" * 60: "v" * 255 for number in range(32)}},
    {"labels": {"a/b.c_d-e": "ümläut 🌈"}},
    {"idempotency_key": "k" * 255},
]


@pytest.mark.parametrize("fields", numbered(GREATEST, "-".join))
def test_the_longest_and_the_largest_of_every_field_is_taken_and_given_back(
    remote: Remote, fields: dict[str, Any]
) -> None:
    job_id = remote.submit(**{"command": "x", **fields}).jobid

    job, line = remote.job(job_id), json.loads(remote.request().jobs[job_id])

    for name, value in fields.items():
        shown = getattr(job, name)
        assert (dict(shown) if isinstance(value, dict) else shown) == value
        assert line.get(name, value) == value


def test_what_means_something_to_sql_or_a_shell_is_given_back_as_it_came(remote: Remote, server: RainbowServer) -> None:
    fields: dict[str, Any] = {
        "name": NASTY,
        "command": NASTY + "\n" + NASTY,
        "environment": {"PATH": NASTY},
        "working_directory": "/" + NASTY,
        "labels": {"a": NASTY},
        "idempotency_key": NASTY,
    }

    job_id = remote.submit(**fields).jobid
    again = remote.submit(**fields)
    by_label = remote.request(labels={"a": NASTY})
    by_name = remote.stub.ListJobs(pb.ListJobsRequest(name=NASTY, labels={"a": NASTY}), metadata=remote.by_token)
    remote.accept(job_id, agent=NASTY)
    remote.stub.CancelJobs(pb.CancelJobsRequest(jobids=[job_id], reason=NASTY), metadata=remote.by_secret)

    line, job = json.loads(by_label.jobs[job_id]), remote.job(job_id)
    assert again.duplicate
    assert [job.id for job in by_name.jobs] == [job_id]
    assert {name: line[name] for name in fields if name in line} == {
        name: value for name, value in fields.items() if name != "idempotency_key"
    }
    assert (job.name, job.command, dict(job.environment)) == (NASTY, fields["command"], fields["environment"])
    assert (job.agent, job.reason, job.idempotency_key) == (NASTY, NASTY, NASTY)
    assert NASTY not in server.log.read_text()


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "value", [NASTY.replace("🌈", ""), "%00", "x" * 4_096, "' OR '1'='1"], ids=["marks", "percent", "long", "sql"]
)
def test_an_odd_credential_is_denied_like_any_other(remote: Remote, server: RainbowServer, value: str) -> None:
    stub, denied = remote.stub, Refusal(code=grpc.StatusCode.UNAUTHENTICATED, text="request denied", field="")

    assert refusal_of(stub.Register, registration(server, secret=value)) == denied
    assert refusal_of(stub.SubmitJob, remote.submission(token=value)) == denied
    assert refusal_of(stub.SubmitJob, remote.submission(cluster=value)) == denied
    assert refusal_of(stub.RequestJobs, pb.RequestJobsRequest(cluster=remote.name, secret=value)) == denied
    assert refusal_of(stub.ListJobs, pb.ListJobsRequest(), metadata=(("authorization", f"Bearer {value}"),)) == denied


# On the wire: what no generated client would write


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


@pytest.mark.usefixtures("unharmed")
def test_an_empty_body_is_a_message_without_fields(remote: Remote, server: RainbowServer) -> None:
    expected = {
        "Register": "request denied",
        "SubmitJob": "a cluster token is required",
        "RequestJobs": "a cluster secret is required",
        "AcceptJobs": "a cluster secret is required",
        "SubmitJobs": "a cluster token is required",
        "RotateCredential": "a cluster secret is required",
        "ReportJobs": "a cluster secret is required",
    }
    either = "a cluster token or secret is required"

    for call in set(UNARY) - {"Serial"}:
        refusal = refusal_of_raw(remote, server, call, b"")
        assert (refusal.code, refusal.text) == (grpc.StatusCode.UNAUTHENTICATED, expected.get(call, either))
    assert pb.Response.FromString(call_raw(remote, server, "Serial", b"")).message_count == 1


@pytest.mark.usefixtures("unharmed")
def test_a_message_above_the_limit_is_refused(remote: Remote) -> None:
    request = remote.submission(command="x" * (4 * 1024 * 1024))

    assert refusal_of(remote.stub.SubmitJob, request).code == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_refused(remote: Remote, compression: grpc.Compression) -> None:
    request = remote.submission("compressed " * 100)

    refusal = refusal_of(remote.stub.SubmitJob, request, compression=compression)

    assert refusal.code == grpc.StatusCode.UNIMPLEMENTED
    assert f"'{compression.name.lower()}' is disabled" in refusal.text


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "path", [f"{SERVICE}/Delete", f"{SERVICE}/submitJob", f"{SERVICE}/", "/other.Service/SubmitJob", "/", "SubmitJob"]
)
def test_a_call_that_nobody_knows_is_unimplemented(remote: Remote, server: RainbowServer, path: str) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(path)(b"", timeout=PATIENCE_SECONDS)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


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


# Whatever else there may be

NEVER = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
FEW = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def anything(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    """Messages of this type with any fields."""
    fields = {field.name: any_value(field) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: GetMessageClass(descriptor)(**chosen))


def any_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return st.dictionaries(any_text(), any_text(), max_size=3)
    one = any_one(field)
    return st.lists(one, max_size=4) if field.is_repeated else one


def any_one(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type:
        return anything(field.message_type)
    numbers = st.integers(INT_MIN, INT_MAX)
    return {
        FieldDescriptor.TYPE_STRING: any_text(),
        FieldDescriptor.TYPE_INT32: st.integers(-2, 12) | numbers,
        FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.TYPE_ENUM: st.integers(0, 8) | numbers,
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    }[field.type]


def any_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
        ["a", "/a", "default", "\0"]
    )


def filled_in(remote: Remote, message: Any) -> tuple[Message, Metadata]:
    """The message with good credentials, so that it comes further than to the door."""
    names = {field.name for field in message.DESCRIPTOR.fields}
    if "cluster" in names:
        message.cluster = remote.name
    for name in names & {"token", "secret"} - ({"secret"} if isinstance(message, pb.RegisterRequest) else set()):
        setattr(message, name, getattr(remote, name))
    # A call that waits is answered half a second before its client gives up.
    return message, remote.by_token if isinstance(message, pb.SubmitJobsRequest) else remote.by_secret


@pytest.mark.parametrize("call", UNARY)
def test_no_message_makes_the_server_fail(remote: Remote, call: str) -> None:
    @FEW
    @given(anything(METHODS[call].input_type), st.booleans())
    def check(message: Message, known: bool) -> None:
        if call == "RotateCredential" and known:
            return  # the others need the credentials
        message, metadata = filled_in(remote, message) if known else (message, ())
        assert code_of(getattr(remote.stub, call), message, metadata) not in NEVER

    check()


@pytest.mark.parametrize("call", UNARY)
def test_no_bytes_make_the_server_fail(remote: Remote, server: RainbowServer, call: str) -> None:
    kind = GetMessageClass(METHODS[call].input_type)

    with grpc.insecure_channel(server.address) as channel:
        method = channel.unary_unary(f"{SERVICE}/{call}")

        @FEW
        @given(st.binary(max_size=60), st.binary(max_size=60), st.booleans())
        def check(before: bytes, after: bytes, sensible: bool) -> None:
            message, metadata = filled_in(remote, kind())
            middle = message.SerializeToString() if sensible else b""
            assert code_of(method, before + middle + after, metadata) not in NEVER

        check()


def test_no_rotation_makes_the_server_fail(server: RainbowServer) -> None:
    @FEW
    @given(anything(pb.RotateCredentialRequest.DESCRIPTOR))
    def check(message: Message) -> None:
        with joined(server) as cluster:
            message, metadata = filled_in(cluster, message)
            assert code_of(cluster.stub.RotateCredential, message, metadata) not in NEVER

    check()


def code_of(method: Any, request: Any, metadata: Metadata) -> grpc.StatusCode:
    try:
        return method.with_call(request, timeout=0.6, metadata=metadata)[1].code()
    except grpc.RpcError as error:
        return error.code()
