"""What every entry works with: the amount to measure, and servers that are stopped in the end."""

import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc

from benchmarks.databases import KINDS, Databases
from tests.support import processes
from tests.support.ports import free_port
from tests.support.servers import IMPATIENT, MANAGE, REGISTRATION_SECRET, RainbowServer, start_rainbow

_WORKERS_START_WITHIN_SECONDS = 30
# In /proc/net/tcp and tcp6; https://docs.kernel.org/networking/proc_net_tcp.html
_LISTENS = "0A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every contender is measured `rounds` times for `seconds` at each number of calls in flight.

    `growth` is how many jobs make a full database, `jobs` how many go through an agent on each of `schedulers`; 0 is
    the usual.
    """

    seconds: float
    rounds: int
    in_flight: tuple[int, ...]
    growth: int
    jobs: int = 0
    schedulers: tuple[str, ...] = ("local", "slurm", "flux")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under test. `database_pid` is the database server's process; None for SQLite."""

    address: str
    database_url: str
    registration_secret: str
    pid: int
    database_pid: int | None
    log: Path

    def last_words(self) -> str:
        return f"the server's log ends:\n{self.log.read_text()[-2000:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherServer:
    """Any that speaks the original protocol. `pid` is None where it runs elsewhere."""

    address: str
    registration_secret: str
    pid: int | None = None
    database_pid: None = None


AnyServer = Server | OtherServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    plan: Plan
    folder: Path
    databases: Databases
    transport: str
    manage: Sequence[str]
    _stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def servers_stopped(self) -> Iterator[None]:
        """Stops the servers that are started inside, also after an exception."""
        with self._stack:
            yield

    def start_server(
        self,
        *,
        log_level: str = "WARNING",
        workers: int = 1,
        beside: Server | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Server:
        """Start a server on its own database, or on that of another server."""
        url = beside.database_url if beside else self.databases.new()
        running = self._start(url, workers, {**self._settings(log_level), **(environment or {})})
        self._stack.callback(_stop, running)
        _wait_for_workers(running, workers)
        return self.as_server(running)

    def as_server(self, running: RainbowServer) -> Server:
        return Server(
            address=running.address,
            registration_secret=running.registration_secret,
            database_url=running.database_url,
            pid=running.process.pid,
            database_pid=self.databases.pid,
            log=running.log,
        )

    def start_web(self, *, beside: Server | None = None, environment: Mapping[str, str] | None = None) -> RainbowServer:
        """Start a web server with its gRPC server, on its own database or on that of another server."""
        running = start_rainbow(
            database_url=beside.database_url if beside else self.databases.new(),
            log=self._next_log(),
            with_web=True,
            environment={**self._settings("WARNING"), **(environment or {})},
            manage=self.manage,
        )
        self._stack.callback(_stop, running)
        return running

    def start_other(self, command: str) -> OtherServer:
        """Start another server in an empty folder with a shell's command, in which `{address}` and `{secret}` are
        replaced by the address that it has to serve and its registration secret.
        """
        address, log = f"127.0.0.1:{free_port()}", self._next_log()
        place = log.with_suffix("")
        place.mkdir()
        words = command.format(address=address, secret=REGISTRATION_SECRET)
        process = processes.start(["sh", "-c", f"cd {shlex.quote(str(place))} && {words}"], log=log)
        self._stack.callback(_end, process, log)
        with grpc.insecure_channel(address, options=IMPATIENT) as channel:
            processes.wait_until(grpc.channel_ready_future(channel).done, process=process, log=log)
        return OtherServer(address=address, registration_secret=REGISTRATION_SECRET, pid=process.pid)

    def _settings(self, log_level: str) -> dict[str, str]:
        return {"RAINBOW_LOG_LEVEL": log_level, **({"RAINBOW_TRANSPORT": self.transport} if self.transport else {})}

    def _next_log(self) -> Path:
        return self.folder / f"server{len(list(self.folder.glob('server*.log'))) + 1}.log"

    def _start(self, url: str, workers: int, environment: Mapping[str, str]) -> RainbowServer:
        return start_rainbow(
            database_url=url,
            log=self._next_log(),
            arguments=["--workers", str(workers)],
            environment=environment,
            manage=self.manage,
        )


@contextmanager
def open_bench(
    *, plan: Plan, database: str, folder: Path | None, transport: str = "", manage: Sequence[str] = MANAGE
) -> Iterator[Bench]:
    """A bench whose databases lie in a temporary folder below `folder`; None is the system's own.

    An empty `transport` is that of all test servers. `manage` is the command of the checkout that is measured.
    """
    with TemporaryDirectory(prefix="rainbow-benchmarks-", dir=folder) as place, ExitStack() as stack:
        databases = stack.enter_context(KINDS[database](Path(place), manage))
        yield Bench(plan=plan, folder=Path(place), databases=databases, transport=transport, manage=manage)


def _wait_for_workers(server: RainbowServer, workers: int) -> None:
    """One worker answered; wait for the others. Each has its own socket."""
    deadline = time.monotonic() + _WORKERS_START_WITHIN_SECONDS
    while _listeners(int(server.address.rpartition(":")[2])) < workers:
        if time.monotonic() > deadline:
            raise RuntimeError(f"not all of {workers} workers listen:\n{server.log.read_text()[-2000:]}")
        time.sleep(0.05)


def _listeners(port: int) -> int:
    # gRPC listens on IPv4 addresses by way of IPv6.
    lines = [line for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    sockets = [line.split() for line in lines]
    return sum(local.endswith(f":{port:04X}") and state == _LISTENS for _, local, _, state, *_ in sockets)


def _stop(server: RainbowServer) -> None:
    _check(server.process, server.log)
    server.stop()


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    _check(process, log)
    processes.end_group(process)


def _check(process: subprocess.Popen[bytes], log: Path) -> None:
    # A server that ended by itself logged why.
    if process.poll() is not None:
        raise RuntimeError(f"a server ended with {process.returncode}:\n{log.read_text()[-2000:]}")
