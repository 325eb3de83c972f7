"""How long a caller waits alone, and while submitters, agents, watchers and the console use the server, too."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter

from benchmarks import cases
from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import Cluster, register
from benchmarks.crowd import AGENTS, SUBMITTERS, WATCHERS, Crowd
from benchmarks.measure import Row, Sample, Times, by_slowest
from benchmarks.pages import add_account
from benchmarks.processor_time import time_of_tree, waits_of_tree
from benchmarks.report import Report
from benchmarks.supply import Supply

IDLE, PACED, BUSY = "alone", "beside 64 who pause", "beside 64 who do not"
_WAITING = 10_000
_PAUSE_SECONDS = 0.1
# Of each row in each round: fewer have no 99th percentile. A machine that is too slow for that makes as many as it can.
ENOUGH = 1_000
_AT_MOST_SECONDS = 20.0
# For which a supply has jobs for so many calls.
_SUPPLIED_SECONDS = 0.5
# Above it the machine is measured, and not the server.
_SATURATED = 0.9

CALLS: Mapping[str, Callable[[Cluster], Case]] = {
    "SubmitJob": cases.submit_job,
    f"RequestJobs({JOBS})": cases.request_jobs,
    f"AcceptJobs({JOBS})": lambda cluster: cases.accept_jobs(cluster, Supply(cluster.add_jobs)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Processor seconds in so many seconds. `waited`: threads of the server could have run and had no processor."""

    seconds: float
    server: float
    callers: float
    busy: float
    waited: float

    @classmethod
    def now(cls, server: Server, crowd: int | None) -> "Spent":
        times = Times.read(server)
        return cls(
            seconds=perf_counter(),
            server=times.server + times.database,
            callers=times.load + (time_of_tree(crowd) if crowd else 0.0),
            busy=times.busy,
            waited=waits_of_tree(server.pid),
        )

    def since(self, before: "Spent") -> "Spent":
        return Spent(
            seconds=self.seconds - before.seconds,
            server=self.server - before.server,
            callers=self.callers - before.callers,
            busy=self.busy - before.busy,
            waited=self.waited - before.waited,
        )

    @property
    def is_saturated(self) -> bool:
        return self.busy >= _SATURATED * self._available

    def __str__(self) -> str:
        others = max(0.0, self.busy - self.server - self.callers)
        shares = [f"{spent / self._available:.0%}" for spent in (self.busy, self.server, self.callers, others)]
        busy, server, callers, rest = shares
        saturated = " (!) so that the tails are the machine's" if self.is_saturated else ""
        return (
            f"the processors were busy {busy}{saturated}, with the server, its web server and database {server}, the "
            f"callers {callers}, all else {rest}; threads of the server waited for a processor for {self.waited:.1f} "
            f"of {self.seconds:.1f} s"
        )

    @property
    def _available(self) -> float:
        return self.seconds * (os.cpu_count() or 1)


def measure(bench: Bench) -> Report:
    running = bench.start_web()
    server = bench.as_server(running)
    add_account(server.database_url, manage=bench.manage)
    honest = {
        name: _enough_calls(make(_cluster(server, f"honest-{number}")))
        for number, (name, make) in enumerate(CALLS.items())
    }
    busy, watched = register(server, "busy"), register(server, "watched")
    around: dict[str, Callable[[], AbstractContextManager[int | None]]] = {
        IDLE: nullcontext,
        **{
            name: Crowd(web=running.web, busy=busy, watched=watched, pause_seconds=pause).at_work
            for name, pause in ((PACED, _PAUSE_SECONDS), (BUSY, 0.0))
        },
    }
    rounds, notes = [], []
    for number in range(1, bench.plan.rounds + 1):
        found: _Round = {}
        for situation, begin in around.items():
            with begin() as crowd, _spending(server, crowd) as spent:
                found |= {(call, situation): _measured(case) for call, case in honest.items()}
            notes.append(f"{situation}, round {number}: {spent()}")
        rounds.append(found)
    return Report(
        title="An honest caller in mixed load, by the 99th percentile",
        yardstick=IDLE,
        rows=[row for call in honest for row in _rows(call, rounds)],
        notes=[
            f"{ENOUGH:,} calls of each row in each round, or as many as were answered in {_AT_MOST_SECONDS:g} s",
            f"beside it: {SUBMITTERS} submitters, each with a pause of {_PAUSE_SECONDS:g} s or none after each answer, "
            f"{AGENTS} agents that ask with bounds, accept and report, {WATCHERS} who watch jobs, and an operator who "
            "opens a page of the console each second",
            *notes,
        ],
    )


def name_of(call: str, situation: str) -> str:
    return f"{call}, {situation}"


_Round = dict[tuple[str, str], Sample]


def _enough_calls(case: Case) -> Case:
    return replace(case, messages=lambda seconds: islice(case.messages(_SUPPLIED_SECONDS), ENOUGH))


def _measured(case: Case) -> Sample:
    return case.measure(in_flight=1, seconds=_AT_MOST_SECONDS)


@contextmanager
def _spending(server: Server, crowd: int | None) -> Iterator[Callable[[], Spent]]:
    """What was spent meanwhile, to be asked afterwards."""
    before = Spent.now(server, crowd)
    after: list[Spent] = []
    yield lambda: after[0].since(before)
    after.append(Spent.now(server, crowd))


def _rows(call: str, rounds: list[_Round]) -> list[Row]:
    yardstick = [found[call, IDLE] for found in rounds]
    return [
        Row(
            name=name_of(call, situation),
            in_flight=1,
            samples=[found[call, situation] for found in rounds],
            yardstick=yardstick,
            compared=by_slowest,
        )
        for situation in (IDLE, PACED, BUSY)
    ]


def _cluster(server: Server, name: str) -> Cluster:
    cluster = register(server, name)
    cluster.add_jobs(_WAITING)
    return cluster
