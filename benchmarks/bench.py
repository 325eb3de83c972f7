"""What every entry works with: how much to measure, and servers that are stopped in the end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.databases import KINDS, Databases
from tests.servers import RainbowServer, start_rainbow


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every case is measured `rounds` times for `seconds` at each number of calls in flight."""

    seconds: float
    rounds: int
    in_flight: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server under test. `database_pid` is the database server's process; None for SQLite."""

    address: str
    database_url: str
    registration_secret: str
    pid: int
    database_pid: int | None
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Starts servers on fresh databases in a folder."""

    plan: Plan
    folder: Path
    databases: Databases
    _stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def servers_stopped(self) -> Iterator[None]:
        """What is started inside is stopped at the end, however that comes about."""
        with self._stack:
            yield

    def start_server(self, *, log_level: str = "WARNING", beside: Server | None = None) -> Server:
        """A server on a database of its own, or on that of another server."""
        running = self._start(log_level, beside.database_url if beside else self.databases.new())
        self._stack.callback(_stop, running)
        return Server(
            address=running.address,
            database_url=running.database_url,
            registration_secret=running.registration_secret,
            pid=running.process.pid,
            database_pid=self.databases.pid,
            log=running.log,
        )

    def _start(self, log_level: str, url: str) -> RainbowServer:
        number = len(list(self.folder.glob("server*.log"))) + 1
        log = self.folder / f"server{number}.log"
        return start_rainbow(database_url=url, log=log, environment={"RAINBOW_LOG_LEVEL": log_level})


@contextmanager
def open_bench(*, plan: Plan, database: str, folder: Path | None) -> Iterator[Bench]:
    """A bench whose databases lie in a temporary folder below `folder`; None is the system's own."""
    with TemporaryDirectory(prefix="rainbow-benchmarks-", dir=folder) as place, ExitStack() as stack:
        databases = stack.enter_context(KINDS[database](Path(place)))
        yield Bench(plan=plan, folder=Path(place), databases=databases)


def _stop(server: RainbowServer) -> None:
    # A server that ended by itself has something to say.
    if server.process.poll() is not None:
        raise RuntimeError(f"a server ended with {server.process.returncode}:\n{server.log.read_text()[-2000:]}")
    server.stop()
