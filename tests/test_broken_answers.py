"""Answers that are no answers: what a broken server, a proxy or a hostile network may send in their place."""

import gzip
import re
import time

import pytest

from benchmarks import frames
from benchmarks.frames import Kind
from rainbow import connection
from rainbow.client import Client
from rainbow.errors import RainbowError, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec, JobState
from rainbow.retries import CALM_SECONDS, PATIENCE_SECONDS, Patience
from tests.support.commandline import Run
from tests.support.raw_server import Answer, goaway, headers, message, raw_server, reset, trailers
from tests.support.rehearsed import TWO_ATTEMPTS, Clock

QUEUED = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS).SerializeToString()
LARGE = gzip.compress(pb.SubmitJobResponse(jobid=7, status=1, warning="w" * 5 * 2**20).SerializeToString())
NOT_UNDERSTOOD = "the server gave an answer that this client does not understand"
OTHER = r"something other than a rainbow server answered at \S+, with HTTP status"


def page(status: str) -> Answer:
    body = b"<html>"
    return lambda stream: headers(stream, status=status) + frames.frame(Kind.DATA, frames.END_STREAM, stream, body)


def half(stream: int) -> bytes:
    return frames.frame(Kind.DATA, 0, stream, frames.message(QUEUED)[:-1])


ODD: dict[str, tuple[Answer, str]] = {
    "well, and empty": (lambda stream: headers(stream, end=True, grpc_status="0"), f"{NOT_UNDERSTOOD}: it is empty"),
    "empty": (lambda stream: headers(stream) + trailers(stream), f"{NOT_UNDERSTOOD}: it is empty"),
    "no message": (
        lambda stream: headers(stream) + message(stream, b"\xff" * 20) + trailers(stream),
        NOT_UNDERSTOOD,
    ),
    "too large": (
        lambda stream: (
            headers(stream, grpc_encoding="gzip") + message(stream, LARGE, compressed=True) + trailers(stream)
        ),
        f"{NOT_UNDERSTOOD}: it is too large",
    ),
    # More than gRPC takes; from half as much on it refuses some at random.
    "words without end": (
        lambda stream: headers(stream) + trailers(stream, "3", grpc_message="x" * 16_320),
        f"{NOT_UNDERSTOOD}: it is too large",
    ),
    "a status of nobody": (lambda stream: headers(stream) + trailers(stream, "99"), r"no reason given \(UNKNOWN\)"),
    "a page that is not there": (page("404"), f"{OTHER} 404"),
    "a page for members": (page("403"), f"{OTHER} 403"),
    "a page that failed": (page("500"), f"{OTHER} 500"),
}
BROKEN: dict[str, tuple[Answer, str]] = {
    "a bad gateway": (page("502"), f"{OTHER} 502"),
    "a gateway's patience": (page("504"), f"{OTHER} 504"),
    "an end of the connection": (lambda stream: goaway(2), "is not available: it ended the connection"),
    "half an answer": (lambda stream: headers(stream) + half(stream), "did not answer in time; it may have done .*"),
    **{
        f"a reset with code {code}": (lambda stream, code=code: reset(stream, code), "it broke off the call")
        for code in (0, 2, 8, 11, 12)
    },
}
NEVER_OVER = ("half an answer",)
OLDER = "does not know this call; its version of rainbow may be older than this one"
# As gRPC's server for Python says it.
ODD["no such call"] = (
    lambda stream: headers(stream, end=True, grpc_status="12", grpc_message="Method not found!"),
    rf"\S+ {OLDER}",
)
CERTAIN = ("a page that is not there", "a page for members", "no such call")
IN_DOUBT = [name for name in ODD if name not in CERTAIN]


@pytest.mark.parametrize("name", ODD)
def test_an_answer_that_is_none_is_one_line_and_no_traceback(rainbow: Run, name: str) -> None:
    answer, words = ODD[name]
    with raw_server(answer) as server:
        result = rainbow("submit", "--host", server.address, "--", "hostname")

    assert isinstance(result.exception, SystemExit)
    assert re.match(rf"Error: {words}( \(request [0-9a-f]+\))?\n", result.stderr)
    assert ("--key" in result.stderr) == (name in IN_DOUBT)
    assert server.calls == 1


@pytest.mark.usefixtures("tried_twice")
@pytest.mark.parametrize("name", BROKEN)
def test_a_call_that_breaks_off_is_repeated_and_then_in_doubt(rainbow: Run, name: str) -> None:
    answer, words = BROKEN[name]
    timeout = ("--timeout", "3") if name in NEVER_OVER else TWO_ATTEMPTS
    with raw_server(answer) as server:
        result = rainbow("submit", "--host", server.address, *timeout, "--", "hostname")

    assert result.exit_code == 6, result.output
    assert re.search(rf"^Error: .*{words}$", result.stderr, re.MULTILINE), result.stderr
    assert "--key" in result.stderr
    assert (server.calls > 1) == (name not in NEVER_OVER)


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_off_is_opened_again(name: str, clock: Clock) -> None:
    """What a proxy does when the server behind it stops, too."""
    broken, _ = BROKEN[name]
    over = pb.WatchJobsResponse(job=pb.Job(id=7, state=pb.JOB_STATE_COMPLETED)).SerializeToString()
    calls: list[int] = []

    def at_last(stream: int) -> bytes | None:
        calls.append(stream)
        return broken(stream) if len(calls) < 3 else headers(stream) + message(stream, over) + trailers(stream)

    with raw_server(at_last) as server, Client(server.address, timeout_seconds=1, retries=clock.retries()) as client:
        steps = list(client.watch_jobs([7], first_seconds=PATIENCE_SECONDS))

    assert [job.state for job in steps] == [JobState.COMPLETED]


def test_a_watcher_that_is_never_answered_gives_up(clock: Clock) -> None:
    with raw_server(headers) as server, Client(server.address, timeout_seconds=0.3, retries=clock.retries()) as client:
        with pytest.raises(Unavailable, match="did not answer in time"):
            next(client.watch_jobs([7]))
        calls = server.calls

    assert calls > 1
    assert clock.now < 0.3


def test_a_row_of_jobs_that_is_never_answered_gives_up(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 0.3)
    specs = [JobSpec(command="hostname", idempotency_key="mine")]
    with (
        raw_server(headers) as server,
        Client(server.address, token="t", timeout_seconds=0.3, retries=clock.retries()) as client,
        pytest.raises(Unavailable, match="did not answer in time") as caught,
    ):
        next(client.submit_stream(specs))

    assert caught.value.idempotency_keys == ("mine",)


def test_a_caller_that_takes_its_time_between_answers_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    silence_seconds = 2.0
    monkeypatch.setattr(connection, "SILENCE_SECONDS", silence_seconds)
    queued = pb.SubmitJobStreamResponse(results=[pb.SubmitResult(jobid=number) for number in range(1, 501)])
    sent = queued.SerializeToString()

    def two(stream: int) -> bytes:
        return headers(stream) + message(stream, sent) + message(stream, sent) + trailers(stream)

    with raw_server(two) as server, Client(server.address, token="t") as client:
        results = client.submit_stream(JobSpec(command="hostname") for _ in range(1000))
        next(results)
        time.sleep(2 * silence_seconds)
        assert len(list(results)) == 999
        assert server.calls == 1


def test_a_server_that_ends_each_stream_at_once_is_asked_more_and_more_rarely(clock: Clock) -> None:
    running = pb.WatchJobsResponse(job=pb.Job(id=7, state=pb.JOB_STATE_RUNNING)).SerializeToString()

    def soon_over(stream: int) -> bytes:
        if clock.now > 60:
            return headers(stream) + trailers(stream, "5", grpc_message="enough")
        return headers(stream) + message(stream, running) + trailers(stream)

    with (
        raw_server(soon_over) as server,
        Client(server.address, retries=clock.retries()) as client,
        pytest.raises(RainbowError, match="enough"),
    ):
        list(client.watch_jobs([7]))

    assert max(clock.pauses[:10]) > 1
    assert len(clock.pauses) < 90


def test_a_stream_that_lived_for_a_while_is_opened_again_soon(clock: Clock) -> None:
    retries = clock.retries(jitter=lambda shortest, longest: longest)
    patience = Patience(retries, first_seconds=PATIENCE_SECONDS)
    for _ in range(3):
        patience.rest(Unavailable("away"))
    patience.renew()
    clock.now += CALM_SECONDS
    patience.rest(Unavailable("away"))

    assert clock.pauses == [0.1, 0.2, 0.4, 0.1]
