"""The cases: what attackers do, by name."""

from dataclasses import dataclass

from benchmarks import frames
from benchmarks.abuse.attacks import (
    Attack,
    Bomb,
    Target,
    calls_of,
    endless_headers,
    endless_stream,
    flood,
    half_sent,
    held_calls,
    nothing,
    rapid_reset,
    unread,
)
from benchmarks.abuse.slow_and_small import (
    cancelled_early,
    empty_continuations,
    empty_data,
    idle_links,
    tables_of_headers,
    trickled,
    trickled_headers,
)
from benchmarks.cases import path_of
from benchmarks.frames import Kind
from rainbow.protos import rainbow_pb2 as pb

_MOST = 4 * 1024 * 1024 - 1024
_PING = frames.frame(Kind.PING, 0, 0, bytes(8))
_SETTINGS = frames.settings({})
_PRIORITY = frames.frame(Kind.PRIORITY, 0, 1, bytes(5))
_WINDOW = frames.window_update(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`by_submitter` gives the attacker a good token, and jobs of its own."""

    name: str
    attack: Attack
    by_submitter: bool = False


def _jobs(number: int) -> bytes:
    jobs = [pb.JobSpec(command=f"echo {place}", nodes=1) for place in range(number)]
    return pb.SubmitJobsRequest(jobs=jobs).SerializeToString()


def _entries(number: int) -> bytes:
    metadata = {f"{place:05x}": "" for place in range(number)}
    return pb.Request(content=pb.Content(metadata=metadata)).SerializeToString()


def _ids(number: int) -> bytes:
    return pb.WatchJobsRequest(jobids=[1] * number).SerializeToString()


def _text(field: bytes, mark: bytes) -> bytes:
    size = _MOST
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    return field + length + mark * size


def _watch(target: Target) -> Bomb:
    return Bomb.of("WatchJobs", pb.WatchJobsRequest(jobids=target.jobs).SerializeToString())


CASES = [
    Case(name="no attack", attack=nothing),
    Case(name="gzip of 4 MiB of zeros", attack=calls_of(Bomb.of("Serial", bytes(_MOST)))),
    Case(name="4 MiB of text that is not UTF-8", attack=calls_of(Bomb.of("Register", _text(b"\n", b"\xff")))),
    Case(name="300,000 entries of a map", attack=calls_of(Bomb.of("Serial", _entries(300_000)))),
    Case(name="2,000,000 empty jobs", attack=calls_of(Bomb.of("SubmitJobs", b"\x12\0" * (_MOST // 2)))),
    Case(name="10,000 good jobs, no credential", attack=calls_of(Bomb.of("SubmitJobs", _jobs(10_000)))),
    Case(name="1,300,000 ids to watch", attack=calls_of(Bomb.of("WatchJobs", _ids(1_300_000)))),
    Case(
        name="4 MiB of zeros, of empty jobs and of ids, not compressed",
        attack=calls_of(
            Bomb.of("Serial", bytes(_MOST), packed=False),
            Bomb.of("SubmitJobs", b"\x12\0" * (_MOST // 2), packed=False),
            Bomb.of("WatchJobs", _ids(1_300_000), packed=False),
        ),
    ),
    Case(
        name="bombs of other kinds",
        attack=calls_of(
            Bomb.of("ReportJobs", b"\x1a\0" * (_MOST // 2)),
            Bomb.of("AcceptJobs", b"\x1a" + _text(b"", b"\1")),
            Bomb.of("GetJobs", b"\xf8\1\0" * (_MOST // 3)),
            Bomb.of("ListJobs", b"\x0b" * _MOST),
            Bomb.of("RequestJobs", b"\xc2\1\0" * (_MOST // 3)),
            Bomb.of("SubmitJob", b"\x20\xff\xff\xff\xff\x7f" * (_MOST // 6)),
            Bomb.of("/grpc.health.v1.Health/Check", _text(b"\n", b"x")),
            Bomb.of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", _text(b'"', b"x")),
        ),
    ),
    Case(
        name="5,000 health checks that watch",
        attack=held_calls(Bomb.of("/grpc.health.v1.Health/Watch", b""), calls=5_000),
    ),
    Case(
        name="names of 4 MiB that are watched",
        attack=held_calls(Bomb.of("/grpc.health.v1.Health/Watch", _text(b"\n", b"x")), calls=320),
    ),
    Case(name="calls that nobody knows", attack=calls_of(Bomb.of("/some.other.Service/Call", b""))),
    Case(name="2,000 calls without a message", attack=half_sent(path_of("Serial"), b"", calls=2_000)),
    Case(
        name="2,000 calls, half of each",
        attack=half_sent(path_of("SubmitJobs"), frames.message(bytes(60_000))[:30_000], calls=2_000),
    ),
    Case(name="calls that are reset at once", attack=rapid_reset),
    Case(name="pings and settings", attack=flood([_PING, _SETTINGS])),
    Case(name="priorities and windows", attack=flood([_PRIORITY, _WINDOW])),
    Case(name="headers without an end", attack=endless_headers),
    Case(name="headers without an end, empty", attack=empty_continuations),
    Case(name="headers without an end, slowly", attack=trickled_headers),
    Case(name="data without an end, empty", attack=empty_data),
    Case(name="messages, a byte at a time", attack=trickled(frames.message(bytes(60_000)))),
    Case(name="tables of headers", attack=tables_of_headers),
    Case(name="calls that are given up within 100 ms", attack=cancelled_early, by_submitter=True),
    Case(name="500 connections that are not used", attack=idle_links(500)),
    Case(name="watchers who never read", attack=unread(_watch, calls=320), by_submitter=True),
    Case(
        name="streams of jobs without an end",
        attack=endless_stream(
            path_of("SubmitJobStream"),
            pb.SubmitJobStreamRequest(jobs=[pb.JobSpec(command="x", nodes=1)]).SerializeToString(),
        ),
        by_submitter=True,
    ),
    Case(name="tests of the connection without an end", attack=endless_stream(path_of("Stream"), b"")),
]
