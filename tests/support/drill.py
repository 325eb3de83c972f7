"""A drill: agents of several clusters take the jobs of one pool, while servers and agents are killed."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc

from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from tests.support import processes
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.rows import execute
from tests.support.servers import MANAGE, ROOT, RainbowServer, environment_for, start_rainbow

CLUSTERS, AGENTS, SERVERS, KILLS = 8, 16, 2, 8
_BATCH = 1_000
_COMPLETED = "SELECT COUNT(*) FROM jobs_job WHERE state = 'completed'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`starts` counts the starts of each job that had one; `left` the jobs in other states than completed."""

    job_ids: Sequence[int]
    starts: Counter[int]
    left: int
    killed: Counter[str]

    @property
    def each_started_once(self) -> bool:
        return self.starts == Counter(self.job_ids) and not self.left


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    cluster: pb.RegisterResponse
    name: str
    journal: Path


class Drill:
    def __init__(self, database_url: str, folder: Path) -> None:
        self._database_url = database_url
        self._folder = folder
        self._random = Random(12)
        self._stack = ExitStack()
        self._servers: list[RainbowServer] = []
        self._agents: list[subprocess.Popen[bytes]] = []
        self._members: list[_Member] = []
        self._killed: Counter[str] = Counter()

    def run(self, jobs: int) -> Outcome:
        """Kills one of all servers and agents each time that another part of the jobs is done."""
        with self._stack:
            self._servers = [self._start_server(place) for place in range(SERVERS)]
            self._stack.callback(self._kill_all)
            job_ids = self._submit(jobs)
            self._agents = [self._start_agent(place) for place in range(AGENTS)]
            for part in range(1, KILLS + 1):
                self._wait_for(part * jobs // (KILLS + 1))
                self._kill(self._random.randrange(AGENTS + SERVERS) if part % 4 else AGENTS + part // 4 % SERVERS)
            self._wait_for(jobs)
        left = execute(self._database_url, "SELECT COUNT(*) FROM jobs_job WHERE state <> 'completed'")[0][0]
        return Outcome(job_ids=job_ids, starts=Counter(self._starts()), left=left, killed=self._killed)

    def _wait_for(self, completed: int) -> None:
        wait_until(lambda: execute(self._database_url, _COMPLETED)[0][0] >= completed, pause_seconds=0.1)

    def _kill(self, place: int) -> None:
        if place < AGENTS:
            self._killed["agents"] += 1
            self._agents[place].kill()
            self._agents[place].wait()
            self._agents[place] = self._start_agent(place)
        else:
            self._killed["servers"] += 1
            server = self._servers[place - AGENTS]
            server.kill()
            self._servers[place - AGENTS] = self._start_server(place - AGENTS, server.address)

    def _kill_all(self) -> None:
        for process in (*self._agents, *(server.process for server in self._servers)):
            process.kill()
            process.wait()

    def _start_server(self, place: int, address: str = "") -> RainbowServer:
        log = self._folder / f"server{place}.log"
        return start_rainbow(database_url=self._database_url, log=log, address=address)

    def _start_agent(self, place: int) -> subprocess.Popen[bytes]:
        member, server = self._members[place], self._servers[place % SERVERS]
        words = [server.address, member.name, member.cluster.secret, str(member.journal)]
        command = [sys.executable, "-m", "tests.support.drill_agent", *words]
        return processes.start(command, log=self._folder / "agents.log", environment=at_root())

    def _submit(self, jobs: int) -> list[int]:
        with grpc.insecure_channel(self._servers[0].address) as channel:
            stub = RainbowSchedulerStub(channel)
            names = [f"c{place}" for place in range(CLUSTERS)]
            secret = self._servers[0].registration_secret
            clusters = [stub.Register(pb.RegisterRequest(name=name, secret=secret)) for name in names]
            self._members = [
                _Member(
                    cluster=clusters[place % CLUSTERS],
                    name=names[place % CLUSTERS],
                    journal=self._folder / f"agent-{place}",
                )
                for place in range(AGENTS)
            ]
            bearer = (("authorization", f"Bearer {make_pool(self._database_url, 'drill', names)}"),)
            batches = [min(_BATCH, jobs - start) for start in range(0, jobs, _BATCH)]
            requests = [
                pb.SubmitJobsRequest(cluster="drill", jobs=[pb.JobSpec(nodes=1, command="true")] * number)
                for number in batches
            ]
            return [
                result.jobid for request in requests for result in stub.SubmitJobs(request, metadata=bearer).results
            ]

    def _starts(self) -> Iterator[int]:
        return starts_in(member.journal for member in self._members)


def make_pool(database_url: str, name: str, clusters: Sequence[str]) -> str:
    """Its token."""
    command = [*MANAGE, "pool", "create", name, *clusters, "--json"]
    environment = environment_for(database_url)
    made = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_SECONDS)
    return str(json.loads(made.stdout)["token"])


def starts_in(journals: Iterable[Path]) -> Iterator[int]:
    """The job of each start that agents wrote down."""
    for journal in journals:
        for line in journal.read_text().splitlines():
            what, job_id, *_ = line.split()
            if what == "starts":
                yield int(job_id)


def at_root() -> dict[str, str]:
    return {**environment_for(""), "PYTHONPATH": str(ROOT)}
