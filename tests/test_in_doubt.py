"""Where it is not known whether the server did its work: the worst attempt decides what is said; the key is told."""

import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import grpc
import pytest

from rainbow import connection, submitting
from rainbow.client import Client
from rainbow.errors import RainbowError, ResourceExhausted, Unauthenticated, Unavailable, Unreachable
from rainbow.records import CredentialKind, JobSpec
from rainbow.retries import Patience
from tests.support import rehearsed
from tests.support.commandline import MAIN, Run, answer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.proxy import Proxy, proxy_before
from tests.support.rehearsed import TWO_ATTEMPTS, Clock, RehearsedServer, rehearsed_server
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, eventually

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
HOSTNAME = JobSpec(command="hostname")

StartDying = Callable[..., Client]


@pytest.fixture
def start_dying(clock: Clock) -> Iterator[StartDying]:
    """A server that gives these answers and is then gone for ever, and a client that never really sleeps."""
    with ExitStack() as stack:

        def start(*script: Any) -> Client:
            running = ExitStack()
            server: RehearsedServer = running.enter_context(rehearsed_server(*script))

            def stop(failure: Unavailable, seconds: float) -> None:
                if not server.script:
                    running.close()

            stack.callback(running.close)
            credentials = {"cluster": "keebler", "token": "t", "secret": "s"}
            return stack.enter_context(Client(server.address, **credentials, retries=clock.retries(on_pause=stop)))

        yield start


def test_a_submission_that_may_have_been_seen_is_not_called_unreachable(start_dying: StartDying) -> None:
    client = start_dying(UNAVAILABLE)

    with pytest.raises(Unavailable, match="is not available: as rehearsed") as caught:
        client.submit_job(JobSpec(command="hostname", idempotency_key="mine"))

    assert not isinstance(caught.value, Unreachable)
    assert (caught.value.may_be_done, caught.value.idempotency_keys) == (True, ("mine",))


def test_a_submission_that_certainly_was_not_seen_is_called_so(clock: Clock) -> None:
    with Client(f"localhost:{free_port()}", retries=clock.retries()) as client, pytest.raises(Unreachable) as caught:
        client.submit_job(HOSTNAME)

    assert (caught.value.may_be_done, caught.value.idempotency_keys) == (False, ())


@pytest.mark.parametrize(
    ("code", "error"), [(EXHAUSTED, ResourceExhausted), (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated)]
)
def test_a_refusal_settles_nothing_after_an_attempt_that_may_have_been_seen(
    rehearse: rehearsed.Rehearse, code: grpc.StatusCode, error: type[RainbowError]
) -> None:
    server, client = rehearse(UNAVAILABLE, code, code)

    with pytest.raises(error) as second:
        client.submit_job(HOSTNAME)
    with pytest.raises(error) as only:
        client.submit_job(HOSTNAME)

    assert (second.value.may_be_done, only.value.may_be_done) == (True, False)
    assert second.value.idempotency_keys == (server.asked[0].idempotency_key,)


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS])
def test_a_failure_that_is_no_refusal_leaves_the_keys(rehearse: rehearsed.Rehearse, code: grpc.StatusCode) -> None:
    server, client = rehearse(code)

    with pytest.raises(RainbowError) as caught:
        client.submit_jobs([HOSTNAME, HOSTNAME])

    assert caught.value.may_be_done
    assert caught.value.idempotency_keys == tuple(job.idempotency_key for job in server.asked[0].jobs)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.accept_jobs([1], agent="login1"),
        lambda client: client.report_jobs([], agent="login1"),
        lambda client: client.cancel_jobs([1]),
        lambda client: client.register("keebler", registration_secret="open"),
        lambda client: client.rotate_credential(CredentialKind.TOKEN),
    ],
    ids=["accept", "report", "cancel", "register", "rotate"],
)
def test_no_call_is_called_unreachable_that_may_have_been_seen(
    start_dying: StartDying, call: Callable[[Client], object]
) -> None:
    client = start_dying(UNAVAILABLE)

    with pytest.raises(Unavailable) as caught:
        call(client)

    assert not isinstance(caught.value, Unreachable)
    assert caught.value.may_be_done


def test_a_stream_that_broke_is_not_called_unreachable_until_it_is_heard_of_again(clock: Clock) -> None:
    broken, gone = Unavailable("broken"), Unreachable("gone")

    def patience_ends(*failures: Unavailable, heard_between: bool) -> Unavailable:
        patience = Patience(clock.retries(), first_seconds=10)
        with pytest.raises(Unavailable) as caught:
            for failure in failures:
                patience.rest(failure)
                if heard_between:
                    patience.renew()
            while True:
                patience.rest(gone)
        return caught.value

    assert patience_ends(broken, heard_between=False) is broken
    assert patience_ends(broken, heard_between=True) is gone


def test_the_keys_of_jobs_that_a_stream_left_without_a_result_are_kept(clock: Clock) -> None:
    def broken(batches: Iterator[submitting.Batch]) -> Iterator[submitting.Answer]:
        raise Unavailable("broken")
        yield

    specs = [JobSpec(command="hostname", idempotency_key=f"key {number}") for number in range(3)]
    sender = submitting.Submitting(broken, patience=Patience(clock.retries(), first_seconds=10))

    with pytest.raises(Unavailable) as caught:
        next(sender.results(submitting.batches(specs, cluster="keebler")))

    assert caught.value.idempotency_keys == ("key 0", "key 1", "key 2")


def test_a_server_that_never_says_a_word_was_never_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, timeout_seconds=2) as client, pytest.raises(Unreachable, match="no connection came"):
            client.register("keebler", registration_secret="open")


def test_a_channel_whose_state_is_told_late_makes_no_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, cluster="keebler", token="t", timeout_seconds=1) as client:
            channel = client._connection._channel
            subscribe = channel.subscribe

            def tell_late(tell: Callable[[grpc.ChannelConnectivity], None]) -> None:
                threading.Timer(1.5, subscribe, [tell]).start()

            monkeypatch.setattr(channel, "subscribe", tell_late)
            monkeypatch.setattr(connection, "STATE_WITHIN_SECONDS", PATIENCE_SECONDS)
            with pytest.raises(Unreachable) as caught:
                client.submit_job(HOSTNAME)

    assert (caught.value.may_be_done, caught.value.idempotency_keys) == (False, ())


# On the command line


@pytest.fixture
def lose(server: RainbowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Proxy]]:
    """Loses the answer to a call of this name, on the command line's way to the server."""
    with ExitStack() as stack:

        def start(call: str) -> Proxy:
            path, sent = f"RainbowScheduler/{call}".encode(), b""

            def deafen(data: bytes, answers: bool) -> None:
                nonlocal sent
                if not answers:
                    # What is sent at once may come in two pieces.
                    sent = sent[-len(path) :] + data
                    if path in sent:
                        proxy.deafen()

            proxy = stack.enter_context(proxy_before(server.address, tap=deafen))
            monkeypatch.setenv("RAINBOW_HOST", proxy.address)
            return proxy

        yield start


def cut_after_the_loss(proxy: Proxy, *, once: Callable[[], object] = lambda: True) -> threading.Thread:
    """For good, when something is lost, and `once` this is true as well."""

    def cut() -> None:
        eventually(lambda: proxy.lost_bytes)
        eventually(once)
        proxy.cut()

    thread = threading.Thread(target=cut)
    thread.start()
    return thread


def test_the_key_that_is_told_finds_the_job(
    rainbow: Run, server: RainbowServer, remote: Remote, lose: Callable[[str], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = lose("SubmitJob")
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        cutting = cut_after_the_loss(proxy, once=lambda: list(client.list_jobs()))
        lost = rainbow("submit", "--timeout", "20", "--", "hostname")
        cutting.join()
    key = re.search(r"--key (\w{32}): it makes no second job", lost.stderr)
    assert lost.exit_code == 6 and key, lost.output

    monkeypatch.setenv("RAINBOW_HOST", server.address)
    found = rainbow("submit", "--key", key[1], "--", "hostname")

    assert "was submitted to" in found.stdout and "before, under this key" in found.stdout
    assert len(answer(rainbow("jobs", "--json"))["jobs"]) == 1


def test_the_key_that_is_told_queues_no_job_again_twice(
    rainbow: Run, server: RainbowServer, remote: Remote, lose: Callable[[str], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        old = client.submit_job(HOSTNAME).jobid
        client.cancel_jobs([old])
        proxy = lose("ResubmitJobs")
        cutting = cut_after_the_loss(proxy, once=lambda: len(list(client.list_jobs())) > 1)
        lost = rainbow("resubmit", "--timeout", "20", str(old))
        cutting.join()
    key = re.search(r"again with --key (\w{32}) queues none twice", lost.stderr)
    assert lost.exit_code == 6 and key, lost.output

    monkeypatch.setenv("RAINBOW_HOST", server.address)
    rainbow("resubmit", "--key", key[1], str(old))

    assert len(answer(rainbow("jobs", "--json"))["jobs"]) == 2


@pytest.mark.parametrize(
    ("call", "words", "advice"),
    [
        (
            "AcceptJobs",
            ["request", "--accept", "1"],
            r"some may be accepted all the same: \d+\. `rainbow job ID",
        ),
        ("AcceptJobs", ["request", "--accept", "1", "--agent", "a"], "is yours until its lease ends"),
        ("SubmitJob", ["sbatch", "--key", "a b", "--wrap", "hostname"], "repeat the command with --key 'a b'"),
        ("CancelJobs", ["cancel", "ID"], "The same command again says what became of them"),
        ("Register", ["register", "--cluster-name", "NEW"], r"c-\w+ may be registered all the same"),
        ("RotateCredential", ["rotate", "token"], "The same command again makes another one"),
        ("RotateCredential", ["rotate", "secret"], "works for 5m more: within this time the same command"),
        ("RotateCredential", ["rotate", "secret", "--grace", "0"], "an operator has to rotate it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_may_be_done_is_said_with_a_way_to_find_out(
    rainbow: Run, lose: Callable[[str], Proxy], call: str, words: list[str], advice: str
) -> None:
    jobid = answer(rainbow("submit", "--json", "--", "hostname"))["jobid"]
    cutting = cut_after_the_loss(lose(call))
    names = {"ID": str(jobid), "NEW": f"c-{uuid4().hex}"}

    result = rainbow(*(names.get(word, word) for word in words), "--timeout", "5")

    cutting.join()
    assert result.exit_code == 6, result.output
    assert re.search(advice, result.stderr), result.stderr
    assert not re.search("^Error: .* cannot be reached", result.stderr, re.MULTILINE)


def test_who_interrupts_a_submission_gets_its_key(rainbow: Run, lose: Callable[[str], Proxy]) -> None:
    proxy = lose("SubmitJob")
    with subprocess.Popen([*MAIN, "submit", "--", "hostname"], stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: proxy.lost_bytes)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 130
    assert re.search(r"repeat the command with --key \w{32}: it makes no second job\.$", told)


@pytest.mark.usefixtures("tried_twice")
def test_a_server_that_is_not_there_makes_no_doubts(rainbow: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAINBOW_HOST", f"localhost:{free_port()}")

    result = rainbow("submit", *TWO_ATTEMPTS, "--", "hostname")

    assert result.exit_code == 6
    assert "--key" not in result.stderr
