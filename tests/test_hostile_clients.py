"""Clients that send what no client should: their own calls fail, and nobody else's."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from benchmarks import frames
from benchmarks.processor_time import peak_memory
from grpc_api.rpcs.messages import MESSAGE_LIMIT
from grpc_api.transport.formats import LIMITS
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import MANY_GUESSES
from tests.support.patience import PATIENCE_SECONDS
from tests.support.raw import raw_connection
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.wire import METHODS, SERVICE, Remote, joined, refusal_of

KINDS = {method.name: method.input_type for method in pb.DESCRIPTOR.services_by_name["RainbowScheduler"].methods}
SERIAL = f"{SERVICE}/Serial"
MIB = 1024 * 1024
# As much as one message may have, and a little less.
MOST = MESSAGE_LIMIT - 1024
CALLERS = 16


@pytest.fixture(scope="module")
def target(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """A server of these tests alone: what ended it would end those of the others, too."""
    running = start_rainbow(database_url=new_database(), log=tmp_path_factory.mktemp("target") / "log")
    yield running
    running.stop()


def serves(server: RainbowServer) -> bool:
    with joined(server) as cluster:
        return bool(cluster.submit().jobid)


# What is no call


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"\xc3(/x", b"/a\0b", b"/" + b"x" * 6_000, b""])
def test_a_path_that_is_no_call_ends_its_own_call_alone(target: RainbowServer, path: bytes) -> None:
    with raw_connection(target.address) as stranger:
        stranger.call(1, path, frames.message(b""))

        assert stranger.end_of(1)

    assert serves(target)
    assert "Traceback" not in target.log.read_text()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0", b"\7" + frames.message(b"")[1:], frames.message(b"x", compressed=True), b"\0\xff\xff\xff\xffx"],
    ids=["none", "half a prefix", "unknown flags", "not compressed", "4 GiB"],
)
def test_a_call_whose_message_is_none_is_ended(server: RainbowServer, content: bytes) -> None:
    with raw_connection(server.address) as stranger:
        stranger.call(1, SERIAL, content)

        assert stranger.end_of(1)

    assert serves(server)


def test_a_call_without_a_message_is_told_what_is_missing(server: RainbowServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_unary(f"{SERVICE}/SummarizeJobs")

        refusal = refusal_of(call, iter([]))

    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.text == "SummarizeJobs takes a request, and the call brought none"


# What is too large


def test_every_call_has_a_limit() -> None:
    assert LIMITS.keys() == KINDS.keys()


@pytest.mark.parametrize("call", sorted(name for name, limit in LIMITS.items() if limit.size < MESSAGE_LIMIT))
def test_a_request_above_its_limit_is_refused_with_the_limit(remote: Remote, call: str) -> None:
    size = LIMITS[call].size
    # Some requests have no text: one in a field that no release knows.
    request = GetMessageClass(KINDS[call]).FromString(b"\xfa\x3f" + varint(size) + b"x" * size)
    method = getattr(remote.stub, call)

    refusal = refusal_of(*asked(METHODS[call], method, request))

    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.text == f"the request has {request.ByteSize():,} bytes; {call} takes at most {size:,}"


def varint(number: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding/#varints"""
    low = number & 0x7F
    return bytes([low]) if number < 0x80 else bytes([low | 0x80]) + varint(number >> 7)


def asked(descriptor: Any, method: Callable[..., Any], request: Any) -> tuple[Callable[..., Any], Any]:
    """The call and its argument, be they streams."""
    call = next_of(method) if descriptor.server_streaming else method
    return call, iter([request]) if descriptor.client_streaming else request


def next_of(stream: Callable[..., Any]) -> Callable[..., Any]:
    return lambda request, **options: next(stream(request, **options))


def test_the_largest_requests_that_the_protocol_allows_are_answered(remote: Remote) -> None:
    """With numbers as long as the wire has them."""
    ids = [-(2**31)] * 10_000
    # A variable of three bytes takes eleven on the wire.
    environment = {f"{chr(97 + place % 26)}{place // 26:02x}"[:3] + f"{place:x}": "" for place in range(9_000)}
    assert sum(map(len, environment)) < 64 * 1024

    job = remote.submit("x" * 64 * 1024, environment=environment, working_directory="/" + "ä" * 4_095).jobid
    accepted = remote.accept(*ids * 5)
    cancelled = remote.stub.CancelJobs(
        pb.CancelJobsRequest(jobids=ids, reason="ä" * 1_000), metadata=remote.by_secret, timeout=PATIENCE_SECONDS
    )
    submitted = remote.submit_many(*[pb.JobSpec(nodes=1, command="x" * 380)] * 10_000)

    assert remote.job(job).command == "x" * 64 * 1024
    assert (len(accepted.refused), len(cancelled.results), len(submitted.results)) == (50_000, 1, 10_000)


def test_text_that_is_not_utf_8_is_found_in_a_large_request_but_not_named(server: RainbowServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        refusal = refusal_of(channel.unary_unary(f"{SERVICE}/SubmitJob"), field(b"\n", b"\xff" * 70_000))

    assert refusal.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.text == "the request is not a SubmitJobRequest, or has text that is not UTF-8"


# What is more than it seems


def field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field of some megabytes."""
    size = len(content)
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    return tag + length + content


def entries(number: int) -> bytes:
    """A Request with so many metadata. protobuf would take a second of each process that collects the tests."""
    return field(b"\n", b"".join(b"\x1a\x09\x0a\x05%05x\x12\x00" % place for place in range(number)))


# Each call with a message of up to 4 MiB, a few kilobytes where it is compressed.
BOMBS = {
    "zeros": ("Serial", bytes(MOST)),
    "not UTF-8": ("Register", field(b"\n", b"\xff" * (MOST - 5))),
    "map": ("Serial", entries(300_000)),
    "jobs": ("SubmitJobs", b"\x12\0" * (MOST // 2)),
    "reports": ("ReportJobs", b"\x1a\0" * (MOST // 2)),
    "ids": ("WatchJobs", field(b"\x12", b"\1" * 1_300_000)),
    "more ids": ("AcceptJobs", field(b"\x1a", b"\1" * (MOST - 5))),
    "unknown fields": ("GetJobs", b"\xf8\1\0" * (MOST // 3)),
    "groups": ("ListJobs", b"\x0b" * MOST),
    "labels": ("RequestJobs", b"\xc2\1\0" * (MOST // 3)),
    "long numbers": ("SubmitJob", b"\x20\xff\xff\xff\xff\x7f" * (MOST // 6)),
}
STANDARD_BOMBS = {
    "health": "/grpc.health.v1.Health/Watch",
    "reflection": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
}


@pytest.fixture(scope="module")
def bombed(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    log = tmp_path_factory.mktemp("bombed") / "log"
    running = start_rainbow(database_url=new_database(), log=log, environment=MANY_GUESSES)
    yield running
    running.stop()


@pytest.mark.parametrize("bomb", [*BOMBS, *STANDARD_BOMBS])
def test_sixteen_callers_with_bombs_leave_the_server_its_memory(bombed: RainbowServer, bomb: str) -> None:
    """Every other caller compresses its messages."""
    forget_peak_memory(bombed.process.pid)
    call, message = BOMBS.get(bomb) or (STANDARD_BOMBS[bomb], field(b"\n", b"x" * (MOST - 5)))
    path = call if call.startswith("/") else f"{SERVICE}/{call}"

    def attack(caller: int) -> None:
        compression = grpc.Compression.Gzip if caller % 2 else grpc.Compression.NoCompression
        with grpc.insecure_channel(bombed.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            for _ in range(3):
                with suppress(grpc.RpcError):
                    channel.unary_unary(path)(message, compression=compression, timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(attack, range(CALLERS)))

    assert serves(bombed)
    assert peak_memory(bombed.process.pid) < 300 * MIB


def forget_peak_memory(pid: int) -> None:
    """proc_pid_clear_refs(5)"""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_who_holds_a_token_is_told_that_there_are_too_many_jobs_before_they_are_made(
    start_server: Callable[..., RainbowServer],
) -> None:
    target = start_server()
    with joined(target) as remote, grpc.insecure_channel(target.address) as channel:
        submit = channel.unary_unary(f"{SERVICE}/SubmitJobs")

        refusals = [refusal_of(submit, BOMBS["jobs"][1], metadata=remote.by_token) for _ in range(3)]

    assert {(refusal.code, refusal.text) for refusal in refusals} == {
        (grpc.StatusCode.INVALID_ARGUMENT, "jobs: must be at most 10,000")
    }
    assert peak_memory(target.process.pid) < 150 * MIB


def test_a_large_request_of_a_stranger_is_not_looked_at(remote: Remote) -> None:
    request = pb.SubmitJobsRequest(jobs=[pb.JobSpec(nodes=1, command="x" * 100)] * 10_001)

    assert refusal_of(remote.stub.SubmitJobs, request).code == grpc.StatusCode.UNAUTHENTICATED
    refusal = refusal_of(remote.stub.SubmitJobs, request, metadata=remote.by_token)
    assert refusal.text == "jobs: must be 1 to 10,000, not 10,001"
