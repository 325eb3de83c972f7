"""The samples of deploy/ for nginx and HAProxy, run by Debian's packages nginx-light and haproxy."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import pytest

from rainbow.client import Client
from rainbow.errors import Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as pb_grpc
from rainbow.records import JobSpec, JobState
from tests.conftest import MANY_GUESSES
from tests.support.certificates import make_certificate
from tests.support.patience import PATIENCE_SECONDS
from tests.support.reverse_proxies import PROXIES, ReverseProxy, proxied
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.wire import eventually, new_name, refusal_of

# The time after which nginx cuts what says nothing, unless it is told otherwise.
USUAL_TIMEOUT_SECONDS = 60
MEBIBYTE = 1024 * 1024
# What cuts silent calls over gRPC in each sample, and the same much shorter.
SHORT_SECONDS = 4
SHORT = {
    "haproxy": {
        "timeout client 1h": f"timeout client {SHORT_SECONDS}s",
        "timeout server 1h": f"timeout server {SHORT_SECONDS}s",
    },
    "nginx": {"330s": f"{SHORT_SECONDS}s"},
}


@pytest.fixture(scope="module")
def server(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    running = start_rainbow(
        database_url=new_database(),
        log=tmp_path_factory.mktemp("server") / "log",
        with_web=True,
        environment={**MANY_GUESSES, "RAINBOW_PROXIES": "1", "RAINBOW_GRPC_PROXIES": "1"},
    )
    yield running
    running.stop()


@pytest.fixture(scope="module", params=sorted(PROXIES))
def proxy(
    request: pytest.FixtureRequest, server: RainbowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReverseProxy]:
    folder = tmp_path_factory.mktemp(request.param)
    with proxied(request.param, server, folder, make_certificate(folder)) as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A cluster that was registered through the proxy; its client has its token and its secret."""

    name: str
    token: str
    secret: str
    client: Client


@pytest.fixture
def member(proxy: ReverseProxy, server: RainbowServer) -> Iterator[Member]:
    with joined_through(proxy, server) as new:
        yield new


@contextmanager
def joined_through(proxy: ReverseProxy, server: RainbowServer) -> Iterator[Member]:
    name = new_name()
    with Client(proxy.address, ca_file=proxy.ca_file) as stranger:
        new = stranger.register(name, registration_secret=server.registration_secret)
    with Client(proxy.address, ca_file=proxy.ca_file, cluster=name, token=new.token, secret=new.secret) as client:
        yield Member(name=name, token=new.token, secret=new.secret, client=client)


def over_https(proxy: ReverseProxy, path: str, *, content: object = None, **headers: str) -> tuple[int, bytes]:
    body = None if content is None else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"{proxy.url}{path}", data=body, headers={"Content-Type": "application/json", **named})
    try:
        trust = ssl.create_default_context(cafile=proxy.ca_file)
        with urlopen(request, timeout=PATIENCE_SECONDS, context=trust) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_jobs_are_submitted_offered_and_accepted(member: Member) -> None:
    job = member.client.submit_job(JobSpec(command="hostname"))

    assert [offered.id for offered in member.client.request_jobs(max_jobs=1).jobs] == [job.jobid]
    assert member.client.accept_jobs([job.jobid]).accepted


def test_errors_keep_their_code_and_their_words(proxy: ReverseProxy) -> None:
    wrong = Client(proxy.address, ca_file=proxy.ca_file, cluster="nowhere", token="wrong")
    with wrong, pytest.raises(Unauthenticated, match="request denied"):
        wrong.submit_job(JobSpec(command="hostname"))


def test_many_jobs_go_through_a_stream_and_large_ones_through_calls(member: Member) -> None:
    assert len(list(member.client.submit_stream([JobSpec(command="hostname")] * 5_000))) == 5_000
    assert len(list(member.client.submit_stream([JobSpec(command="x" * 60_000)] * 50))) == 50


def test_rest_takes_bodies_of_several_mebibytes(proxy: ReverseProxy, member: Member) -> None:
    jobs = [{"command": "x" * 60_000}] * 50
    status, answer = over_https(
        proxy, "/api/v1/jobs/batch", content={"jobs": jobs}, Authorization=f"Bearer {member.token}"
    )

    assert status == HTTPStatus.OK, answer


def test_a_client_cannot_choose_its_address(proxy: ReverseProxy, server: RainbowServer) -> None:
    status, _ = over_https(
        proxy, "/api/v1/register", content={"name": new_name()}, Authorization="Bearer no", X_Forwarded_For="192.0.2.1"
    )

    assert status == HTTPStatus.UNAUTHORIZED
    server.log_with(r"/register.* peer=127\.0\.0\.1")


def test_a_client_of_grpc_cannot_choose_its_address(proxy: ReverseProxy, server: RainbowServer) -> None:
    trust = grpc.ssl_channel_credentials(Path(proxy.ca_file).read_bytes())
    with grpc.secure_channel(proxy.address, trust) as channel:
        refused = refusal_of(
            pb_grpc.RainbowSchedulerStub(channel).Register,
            pb.RegisterRequest(name=new_name(), secret="no"),
            metadata=(("x-forwarded-for", "192.0.2.1"),),
        )

    assert refused.code == grpc.StatusCode.UNAUTHENTICATED
    server.log_with(r" Register .*peer=forwarded:127\.0\.0\.1")


def test_browsers_are_served_over_tls(proxy: ReverseProxy) -> None:
    trust = ssl.create_default_context(cafile=proxy.ca_file)
    with urlopen(f"{proxy.url}/admin/login/", timeout=PATIENCE_SECONDS, context=trust) as page:
        assert page.status == HTTPStatus.OK
        assert "secure" in page.headers["Set-Cookie"].lower()
        assert page.headers["Strict-Transport-Security"]


def test_what_is_silent_for_longer_than_usual_is_not_cut(proxy: ReverseProxy, member: Member) -> None:
    """A request over gRPC that waits, a watch, and a request over REST that waits for as long as it may."""
    client = member.client
    job = client.submit_job(JobSpec(command="hostname", nodes=2)).jobid
    seen = client.watch_jobs([job])
    assert next(seen).state == JobState.QUEUED
    with ThreadPoolExecutor() as threads:
        by_rest = threads.submit(wait_over_rest, proxy, member)
        ended = threads.submit(next, seen)
        try:
            began = time.monotonic()
            assert not client.request_jobs(max_jobs=1, max_nodes=1, wait_seconds=USUAL_TIMEOUT_SECONDS + 3).jobs
            assert time.monotonic() - began > USUAL_TIMEOUT_SECONDS
            assert by_rest.result() == (HTTPStatus.OK, [])
            assert not ended.done()
        finally:
            client.cancel_jobs([job])
        assert ended.result(timeout=PATIENCE_SECONDS).state == JobState.CANCELLED


def wait_over_rest(proxy: ReverseProxy, member: Member) -> tuple[int, list[object]]:
    path = f"/api/v1/clusters/{member.name}/queue?max_nodes=1&wait_seconds={USUAL_TIMEOUT_SECONDS}"
    status, answer = over_https(proxy, path, Authorization=f"Bearer {member.secret}")
    return status, json.loads(answer)["jobs"]


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_a_watch_goes_on_though_it_was_silent_for_longer_than_the_proxy_allows(
    name: str, server: RainbowServer, tmp_path: Path
) -> None:
    short = proxied(name, server, tmp_path, make_certificate(tmp_path), changes=SHORT[name])
    with short as proxy, joined_through(proxy, server) as member, ThreadPoolExecutor() as threads:
        job = member.client.submit_job(JobSpec(command="hostname")).jobid
        seen = member.client.watch_jobs([job])
        assert next(seen).state == JobState.QUEUED
        ended = threads.submit(next, seen)
        try:
            # The server has a line for each watch that was cut.
            eventually(lambda: server.log.read_text().count(f"WatchJobs cluster={member.name}") >= 2)
            assert not ended.done()
        finally:
            member.client.cancel_jobs([job])
        assert ended.result(timeout=PATIENCE_SECONDS).state == JobState.CANCELLED
