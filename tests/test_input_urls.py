"""Inputs that a site fetches by URL, from a real server on loopback; what it answers is anybody's making."""

import hashlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rainbow.agent import downloads, input_sources
from rainbow.agent.downloads import BeingFetched, Downloads
from rainbow.agent.input_sources import InputSources, SourceAway, SourceRefused, fetch
from rainbow.agent.policy import Policy
from rainbow.errors import InvalidArgument
from rainbow.executors import job_files
from rainbow.executors.folders import folder_of
from rainbow.executors.job_files import with_files
from rainbow.records import JobState
from rainbow.specs import JobSpec, Work, check_work
from rainbow.system.disk_space import DiskFull
from tests.support.agent_cast import Hire, key
from tests.support.certificates import Authority
from tests.support.patience import PATIENCE_SECONDS

DATA = b"x" * 5_000_000
DIGEST = hashlib.sha256(DATA).hexdigest()
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
NEVER = threading.Event()


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[str]
    hosts: list[str]
    moves: dict[str, str]
    fails: int

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.hosts.append(self.headers["Host"])
        if self.path in self.moves:
            self.answer(302, b"", Location=self.moves[self.path])
        elif self.path == "/fails" and type(self).fails:
            type(self).fails -= 1
            self.answer(503, b"later")
        elif self.path == "/short":
            self.answer(200, DATA[:10], **{"Content-Length": "20"})
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(DATA)
        elif self.path == "/dawdles":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
        elif self.path in ("/data", "/fails"):
            self.answer(200, DATA)
        else:
            self.answer(404, b"no such thing")

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Served:
    def __init__(self, handler: type[Site], port: int, tls: ssl.SSLContext | None) -> None:
        self.handler, self.port, self.tls = handler, port, tls
        self.url = f"{'https' if tls else 'http'}://localhost:{port}"
        self.sources = InputSources(
            hosts=(f"{'https' if tls else 'http'}://localhost:{port}",), networks=(LOOPBACK,), most_bytes=len(DATA)
        )

    def get(self, path: str, sources: InputSources | None = None) -> bytes:
        return b"".join(fetch(f"{self.url}{path}", sources or self.sources, stops=threading.Event(), tls=self.tls))


@contextmanager
def served(*, certificate: ssl.SSLContext | None = None, trusted: ssl.SSLContext | None = None) -> Iterator[Served]:
    handler = type("OfThisTest", (Site,), {"seen": [], "hosts": [], "moves": {}, "fails": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate:
        server.socket = certificate.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Served(handler, server.server_port, trusted)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Served]:
    with served() as made:
        yield made


def test_over_https_a_file_comes_whole_from_a_server_with_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(pair.cert, pair.key)
    trusting = ssl.create_default_context(cafile=str(authority.cert))
    with served(certificate=certificate, trusted=trusting) as site:
        assert site.get("/data") == DATA
        site.tls = ssl.create_default_context()
        with pytest.raises(SourceRefused, match="certificate is not valid"):
            site.get("/data")


def test_a_redirect_is_checked_again(site: Served) -> None:
    site.handler.moves = {
        "/here": "/data",
        "/loop": "/loop",
        "/away": f"http://127.0.0.1:{site.port}/data",
        "/file": "file:///etc/passwd",
        "/nowhere": "",
    }

    assert site.get("/here") == DATA
    for path, why in (("/loop", "more than 5"), ("/away", "fetches nothing from http://127.0.0.1"),
                      ("/file", "no URL that can be fetched"), ("/nowhere", "more than 5")):  # fmt: skip
        with pytest.raises(SourceRefused, match=why):
            site.get(path)


def test_the_header_host_has_the_port_unless_it_is_the_usual_one(site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    site.get("/data")
    monkeypatch.setitem(input_sources.DEFAULT_PORTS, "http", site.port)
    site.get("/data")

    assert site.handler.hosts == [f"localhost:{site.port}", "localhost"]


def test_an_address_that_is_not_public_is_not_reached(site: Served) -> None:
    with pytest.raises(SourceRefused, match="is not public, and not within allowed_input_networks"):
        site.get("/data", InputSources(hosts=site.sources.hosts, most_bytes=10))
    assert site.handler.seen == []


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("10.20.0.1", True),
        ("::ffff:10.20.0.1", False),
        *((text, False) for text in (
            "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
            "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%1", "fc00::1", "fec0::1", "ff02::1",
            "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::7f00:1", "64:ff9b:1::7f00:1", "::ffff:0:7f00:1",
            "2002:7f00:1::", "2001:0:4136:e378::1",
        )),
    ],
)  # fmt: skip
def test_what_is_public(address: str, reached: bool) -> None:
    sources = InputSources(networks=(ipaddress.ip_network("10.20.0.0/16"),))

    assert sources.reaches(ipaddress.ip_address(address)) is reached


def test_no_more_is_read_than_is_allowed(site: Served) -> None:
    small = InputSources(hosts=site.sources.hosts, networks=(LOOPBACK,), most_bytes=len(DATA) - 1)

    for path in ("/data", "/endless"):
        with pytest.raises(SourceRefused, match="larger than the 4,999,999 bytes"):
            site.get(path, small)


def test_what_is_not_there_and_what_breaks_off_are_told_apart(site: Served) -> None:
    with pytest.raises(SourceRefused, match="HTTP status 404"):
        site.get("/nothing")
    with pytest.raises(SourceAway, match="10 bytes too early"):
        site.get("/short")


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_sources, "LONGEST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sources = InputSources(hosts=(f"http://localhost:{port}",), networks=(LOOPBACK,), most_bytes=10)
        with pytest.raises(SourceAway):
            list(fetch(f"http://localhost:{port}/", sources, stops=threading.Event()))


def test_a_name_with_thousands_of_addresses_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked for a name may answer with addresses that answer nothing."""
    tried = 0

    def addresses(host: str, port: int, **_: object) -> Iterator[tuple[object, ...]]:
        nonlocal tried
        for _number in range(10_000):
            tried += 1
            yield socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)

    monkeypatch.setattr(input_sources, "CONNECT_SECONDS", 0.05)
    monkeypatch.setattr(input_sources, "LONGEST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, socket.socket() as queued:
        queued.connect(silent.getsockname())  # there is room for no other
        port = silent.getsockname()[1]
        sources = InputSources(hosts=(f"http://localhost:{port}",), networks=(LOOPBACK,), most_bytes=10)
        monkeypatch.setattr(socket, "getaddrinfo", addresses)
        with pytest.raises(SourceAway):
            list(fetch(f"http://localhost:{port}/", sources, stops=threading.Event()))

    assert 1 <= tried < 10_000


@pytest.mark.parametrize("secure", [False, True], ids=["in clear text", "over TLS"])
def test_a_header_that_comes_byte_by_byte_is_given_up(
    secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(pair.cert, pair.key)
    trusting = ssl.create_default_context(cafile=str(authority.cert))
    begun = threading.Event()

    def dawdle(listening: socket.socket) -> None:
        with suppress(OSError), ExitStack() as stack:
            peer = stack.enter_context(listening.accept()[0])
            if secure:
                peer = stack.enter_context(certificate.wrap_socket(peer, server_side=True))
            peer.sendall(b"HTTP/1.1 200 OK\r\nLong: ")
            begun.set()
            while True:
                peer.sendall(b"x")
                time.sleep(0.01)

    monkeypatch.setattr("rainbow.agent.input_sources.threading.Timer", lambda _, cut, words: _After(begun, cut, words))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=dawdle, args=[listening], daemon=True).start()
        url = f"{'https' if secure else 'http'}://localhost:{listening.getsockname()[1]}"
        sources = InputSources(hosts=(url,), networks=(LOOPBACK,), most_bytes=10)
        found: list[bytes] = []
        with suppress(SourceAway):
            found = list(fetch(f"{url}/", sources, stops=threading.Event(), tls=trusting))

    assert begun.is_set()
    assert found == []


class _After(threading.Thread):
    """A timer whose time has come once the header has begun."""

    def __init__(
        self, begun: threading.Event, cut: Callable[[socket.socket], None], words: list[socket.socket]
    ) -> None:
        super().__init__(daemon=True)
        self._begun, self._cut, self._words = begun, cut, words

    def run(self) -> None:
        self._begun.wait()
        self._cut(*self._words)

    def cancel(self) -> None:
        """It has done it by then."""


# What the agent makes of it


@pytest.fixture
def here(tmp_path: Path) -> Callable[[Served], Downloads]:
    return lambda site: Downloads(tmp_path / "downloads", site.sources, fetch=partial(fetch, tls=site.tls))


def test_a_file_is_fetched_once_for_all_jobs(
    site: Served, here: Callable[[Served], Downloads], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0)
    site.handler.fails = 2
    fetched, url = here(site), f"{site.url}/fails#sha256={DIGEST}"

    for name in ("a", "b"):
        fetched.place(url, tmp_path / name, stops=NEVER)
    assert site.handler.seen == ["/fails"] * 3
    (kept,) = (tmp_path / "downloads").iterdir()
    kept.write_bytes(b"changed")
    fetched.place(url, tmp_path / "c", stops=NEVER)

    assert {(tmp_path / name).read_bytes() for name in "abc"} == {DATA}
    assert len(site.handler.seen) == 4


def test_what_an_agent_that_was_killed_had_begun_to_fetch_goes(
    site: Served, here: Callable[[Served], Downloads], tmp_path: Path
) -> None:
    (tmp_path / "downloads").mkdir()
    for name in (f"{'1' * 64}.new", "2" * 64):
        (tmp_path / "downloads" / name).write_bytes(b"x")

    here(site)

    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["2" * 64]


def test_a_file_of_another_digest_is_not_kept(
    site: Served, here: Callable[[Served], Downloads], tmp_path: Path
) -> None:
    with pytest.raises(SourceRefused, match=f"it has the SHA-256 {DIGEST}, which is another"):
        here(site).place(f"{site.url}/data#sha256={'0' * 64}", tmp_path / "a", stops=NEVER)

    assert not (tmp_path / "a").exists()
    assert list((tmp_path / "downloads").iterdir()) == []


def test_those_that_were_needed_last_are_kept(
    site: Served, here: Callable[[Served], Downloads], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_KEPT_BYTES", len(DATA) + 10)
    fetched = here(site)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / ("1" * 64)).write_bytes(b"x" * 11)

    fetched.place(f"{site.url}/data#sha256={DIGEST}", tmp_path / "a", stops=NEVER)

    assert [path.stat().st_size for path in (tmp_path / "downloads").iterdir()] == [len(DATA)]


def test_what_one_job_fetches_keeps_no_thread_for_another_that_names_it(tmp_path: Path) -> None:
    """A sweep names one file: its members would take all threads for as long as that is fetched."""
    begun, go = threading.Event(), threading.Event()

    def slow(_: str, __: InputSources, *, stops: threading.Event) -> Iterator[bytes]:
        begun.set()
        assert go.wait(PATIENCE_SECONDS)
        yield DATA

    fetched, url = Downloads(tmp_path / "downloads", InputSources(), fetch=slow), f"https://a.org/#sha256={DIGEST}"
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(fetched.place, url, tmp_path / "a", stops=NEVER)
        assert begun.wait(PATIENCE_SECONDS)
        try:
            with pytest.raises(BeingFetched):
                fetched.place(url, tmp_path / "b", stops=NEVER)
        finally:
            go.set()
        first.result(PATIENCE_SECONDS)
    fetched.place(url, tmp_path / "b", stops=NEVER)

    assert (tmp_path / "b").read_bytes() == DATA


def test_on_a_disk_that_gets_full_nothing_more_is_fetched_and_what_is_kept_makes_room(
    site: Served, here: Callable[[Served], Downloads], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched, url = here(site), f"{site.url}/data#sha256={DIGEST}"
    fetched.place(url, tmp_path / "a", stops=NEVER)
    left = iter(["", "", "disk full: as this test has it"])
    monkeypatch.setattr(downloads, "shortage_for_files", lambda _: next(left))

    with pytest.raises(DiskFull, match="as this test has it"):
        fetched.place(url, tmp_path / "b", stops=NEVER)

    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a"]
    assert list((tmp_path / "downloads").iterdir()) == []


def test_what_a_cancelled_job_had_fetched_comes_no_further(hire: Hire, site: Served) -> None:
    agent = hire(policy=Policy(input_sources=site.sources))
    jobid = agent.submit("true", input_urls={"model": f"{site.url}/dawdles#sha256={DIGEST}"})
    agent.work(lambda: list((agent.folder / "downloads").glob("*.new")))

    agent.client.cancel_jobs([jobid])
    agent.work(lambda: agent.job(jobid).finished_at and not (agent.folder / "staged" / key(jobid)).exists())

    assert agent.job(jobid).state == JobState.CANCELLED
    assert list((agent.folder / "downloads").iterdir()) == []


def test_a_job_finds_what_its_site_fetched_and_one_that_cannot_have_it_never_starts(hire: Hire, site: Served) -> None:
    agent = hire(policy=Policy(input_sources=site.sources))
    url = f"{site.url}/data#sha256={DIGEST}"

    good = agent.submit("sha256sum model; stat -c %h model", input_urls={"model": url})
    wrong = agent.submit("echo ran", input_urls={"model": f"{site.url}/nothing#sha256={DIGEST}"})
    elsewhere = agent.submit("echo ran", input_urls={"model": f"https://example.org/#sha256={DIGEST}"})
    agent.work(lambda: all(agent.job(jobid).finished_at for jobid in (good, wrong, elsewhere)))

    assert agent.job(good).output.startswith(f"{DIGEST}  model\n")
    assert (agent.job(wrong).state, agent.job(wrong).reason) == (
        JobState.FAILED,
        "input_urls: model: it answers with HTTP status 404",
    )
    assert "this cluster fetches nothing from https://example.org:443" in agent.job(elsewhere).reason
    assert agent.job(wrong).output == agent.job(elsewhere).output == ""
    agent.work(lambda: not (agent.folder / "staged" / key(good)).exists())


def test_a_large_file_of_one_name_is_not_copied_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "COPIED_BYTES", 10)
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / DIGEST).write_bytes(DATA[:20])
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    url = f"https://example.org/#sha256={DIGEST}"

    with_files(Work(command="true", input_urls={"a": url, "b": url}, staged=str(staged)), folder)

    files = folder.path / "files"
    assert (files / "a").stat().st_ino == (staged / DIGEST).stat().st_ino
    assert (files / "b").stat().st_nlink == 1
    assert (files / "b").read_bytes() == DATA[:20]


def test_a_name_is_an_input_or_one_by_url() -> None:
    url = f"https://example.org/#sha256={DIGEST}"
    for inputs in ({"a": DIGEST}, {"a/b": DIGEST}):
        with pytest.raises(InvalidArgument, match="name must not be"):
            check_work(JobSpec(command="true", inputs=inputs, input_urls={"a": url}))
