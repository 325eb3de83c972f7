"""How long a caller waits alone, and while submitters, agents, watchers and the console use the server, too."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from benchmarks import cases
from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import Cluster, register
from benchmarks.crowd import AGENTS, SUBMITTERS, WATCHERS, Crowd
from benchmarks.measure import Row, Sample, by_slowest
from benchmarks.pages import add_account
from benchmarks.report import Report
from benchmarks.supply import Supply

IDLE, PACED, BUSY = "alone", "beside 64 who pause", "beside 64 who do not"
_WAITING = 10_000
_PAUSE_SECONDS = 0.1
# A 99th percentile needs some hundred calls.
_LEAST_SECONDS = 2.0

CALLS: Mapping[str, Callable[[Cluster], Case]] = {
    "SubmitJob": cases.submit_job,
    f"RequestJobs({JOBS})": cases.request_jobs,
    f"AcceptJobs({JOBS})": lambda cluster: cases.accept_jobs(cluster, Supply(cluster.add_jobs)),
}


def measure(bench: Bench) -> Report:
    running = bench.start_web()
    server = bench.as_server(running)
    add_account(server.database_url, manage=bench.manage)
    honest = {name: make(_cluster(server, f"honest-{number}")) for number, (name, make) in enumerate(CALLS.items())}
    busy, watched = register(server, "busy"), register(server, "watched")
    around: dict[str, Callable[[], AbstractContextManager[None]]] = {
        IDLE: nullcontext,
        **{
            name: Crowd(web=running.web, busy=busy, watched=watched, pause_seconds=pause).at_work
            for name, pause in ((PACED, _PAUSE_SECONDS), (BUSY, 0.0))
        },
    }
    rounds = [_round(honest, around, max(bench.plan.seconds, _LEAST_SECONDS)) for _ in range(bench.plan.rounds)]
    return Report(
        title="An honest caller in mixed load, by the 99th percentile",
        yardstick=IDLE,
        rows=[row for call in honest for row in _rows(call, rounds)],
        notes=[
            f"beside it: {SUBMITTERS} submitters, each with a pause of {_PAUSE_SECONDS:g} s or none after each answer, "
            f"{AGENTS} agents that ask with bounds, accept and report, {WATCHERS} who watch jobs, and an operator who "
            "opens a page of the console each second",
        ],
    )


def name_of(call: str, situation: str) -> str:
    return f"{call}, {situation}"


_Round = dict[tuple[str, str], Sample]


def _round(
    honest: Mapping[str, Case], around: Mapping[str, Callable[[], AbstractContextManager[None]]], seconds: float
) -> _Round:
    found: _Round = {}
    for situation, begin in around.items():
        with begin():
            found |= {(call, situation): case.measure(in_flight=1, seconds=seconds) for call, case in honest.items()}
    return found


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
