"""Two servers on one PostgreSQL, each behind a proxy of ours, with submitters and with agents of a pool's clusters."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from benchmarks.chaos.database import Database
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from tests.support import processes
from tests.support.drill import at_root, make_pool, starts_in
from tests.support.proxy import Proxy
from tests.support.rows import execute
from tests.support.servers import RainbowServer, start_rainbow

POOL, CLUSTERS, SERVERS = "chaos", 4, 2
# Debian's package faketime.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    submitters: int = 16
    agents: int = 8


@dataclass(slots=True, kw_only=True)
class Fleet:
    database: Database
    folder: Path
    size: Size
    servers: list[RainbowServer] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    submitters: list[subprocess.Popen[bytes]] = field(default_factory=list)
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def calls(self) -> list[Path]:
        return [self.folder / f"calls-{place}" for place in range(SERVERS)]

    def start(self) -> None:
        self.servers = [self._server(place) for place in range(SERVERS)]
        self.proxies = [Proxy(server.address) for server in self.servers]
        names = [f"c{place}" for place in range(CLUSTERS)]
        secrets = self._register(names)
        token = make_pool(self.database.url, POOL, names)
        share = self.size.submitters // SERVERS
        for place, proxy in enumerate(self.proxies):
            words = [proxy.address, POOL, token, str(self.calls[place]), str(place * share), str(share)]
            self.submitters.append(self._python("benchmarks.chaos.submitters", words))
        for place in range(self.size.agents):
            name, address = names[place % CLUSTERS], self.proxies[place % SERVERS].address
            words = [address, name, secrets[name], str(self._journal(place))]
            self.agents.append(self._python("tests.support.drill_agent", words))

    def kill_server(self) -> None:
        self.servers[0].kill()

    def start_server_again(self) -> None:
        self.servers[0] = self._server(0, self.servers[0].address)

    def fake_clock(self) -> None:
        """Starts the second server again, with a clock that can be set. Under load that makes it slow."""
        self.servers[1].stop()
        self.servers[1] = self._server(1, self.servers[1].address, with_clock=True)

    def set_clock(self, seconds: int) -> None:
        """Of the second server."""
        draft = self._clock.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.replace(self._clock)

    def stop_submitting(self) -> None:
        for process in self.submitters:
            process.kill()
            process.wait()

    def stop(self) -> None:
        self.stop_submitting()
        for process in (*self.agents, *(server.process for server in self.servers)):
            process.kill()
            process.wait()
        for proxy in self.proxies:
            proxy.close()

    def ended_agents(self) -> int:
        """How many agents ended on their own."""
        return sum(agent.poll() is not None for agent in self.agents)

    def left(self) -> int:
        [(number,)] = execute(self.database.url, "SELECT COUNT(*) FROM jobs_job WHERE state <> 'completed'")
        return int(number)

    def newest_job_is_ahead_by_seconds(self) -> float:
        statement = "SELECT EXTRACT(EPOCH FROM max(submitted_at) - now()) FROM jobs_job"
        [(seconds,)] = execute(self.database.url, statement)
        return float(seconds)

    def unfinished(self) -> list[tuple[object, ...]]:
        """Examples for those who look into it."""
        statement = "SELECT id, state, attempt, cluster_id, queue_id, reason FROM jobs_job WHERE state <> 'completed'"
        return execute(self.database.url, f"{statement} ORDER BY id LIMIT 10")

    def completed(self) -> set[int]:
        rows = execute(self.database.url, "SELECT id FROM jobs_job WHERE state = 'completed'")
        return {int(job_id) for (job_id,) in rows}

    def starts(self) -> Counter[int]:
        return Counter(starts_in(self._journal(place) for place in range(self.size.agents)))

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    def _journal(self, place: int) -> Path:
        return self.folder / f"agent-{place}"

    def _server(self, place: int, address: str = "", *, with_clock: bool = False) -> RainbowServer:
        settings = {"RAINBOW_DATABASE_POOL": "8"}
        if with_clock:
            self.set_clock(0)
            # The file is read once a second. Timers go on as they are, as after a real step of the clock.
            settings |= {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        log = self.folder / f"server{place}.log"
        return start_rainbow(database_url=self.database.url, log=log, address=address, environment=settings)

    def _register(self, names: Sequence[str]) -> dict[str, str]:
        with grpc.insecure_channel(self.servers[0].address) as channel:
            stub, secret = RainbowSchedulerStub(channel), self.servers[0].registration_secret
            return {name: stub.Register(pb.RegisterRequest(name=name, secret=secret)).secret for name in names}

    def _python(self, module: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, *words]
        return processes.start(command, log=self.folder / f"{module}.log", environment=at_root())


@contextmanager
def fleet(database: Database, folder: Path, size: Size) -> Iterator[Fleet]:
    found = Fleet(database=database, folder=folder, size=size)
    try:
        found.start()
        yield found
    finally:
        found.stop()
