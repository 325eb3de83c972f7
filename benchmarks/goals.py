"""What the server is meant to reach, mostly as ratios within one run, and what it reached."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.cases import JOBS
from benchmarks.entries import against, groups, many_queues, mixed_load, rest
from benchmarks.entries.growth import FEW, MEMORY
from benchmarks.measure import Sample
from benchmarks.report import Report

_MEMORY_MIB = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`reached` finds the figure in the entry's report; None where it was not measured."""

    text: str
    entry: str
    wanted: str
    reached: Callable[[Report], float | None]
    good: Callable[[float], bool]


def _ratio(name: str, in_flight: int) -> Callable[[Report], float | None]:
    def find(report: Report) -> float | None:
        row = report.row(name, in_flight)
        return row.ratio if row else None

    return find


def _times(name: str, in_flight: int) -> Callable[[Report], float | None]:
    def find(report: Report) -> float | None:
        row = report.row(name, in_flight)
        return 1 / row.ratio if row else None

    return find


def _middle(name: str, in_flight: int, figure: Callable[[Sample], float]) -> Callable[[Report], float | None]:
    def find(report: Report) -> float | None:
        row = report.row(name, in_flight)
        return row.middle(figure) if row else None

    return find


# Calls a second, of the original server's beside it, at 1, 16 and 64 in flight.
_BESIDE_THE_ORIGINAL = {
    "grpcio": {
        "Serial": (0.5, 0.2, 0.25),
        "SubmitJob": (1.0, 6, 14),
        f"RequestJobs({JOBS})": (0.8, 0.6, 0.6),
        f"AcceptJobs({JOBS})": (1.0, 6, 18),
    },
    "h2corn": {
        "Serial": (0.6, 0.6, 0.8),
        "SubmitJob": (1.2, 10, 30),
        f"RequestJobs({JOBS})": (1.0, 1.0, 1.3),
        f"AcceptJobs({JOBS})": (1.2, 8, 30),
    },
}


def _beside_the_original(transport: str, call: str, in_flight: int, wanted: float) -> Goal:
    return Goal(
        text=f"{call}, {in_flight} in flight, of the original server's rate",
        entry=against.name_of(transport),
        wanted=f">= {wanted:.2f}",
        reached=_ratio(f"{call}, {against.OURS}", in_flight),
        good=lambda figure: figure >= wanted,
    )


def _of_the_bare_view(call: str, wanted: float) -> Goal:
    return Goal(
        text=f"REST: {call}, 16 in flight, of the rate of a view that returns a constant",
        entry="rest",
        wanted=f">= {wanted:.2f}",
        reached=_ratio(call, 16),
        good=lambda figure: figure >= wanted,
    )


GOALS = [
    *(
        _beside_the_original(transport, call, in_flight, wanted)
        for transport, calls in _BESIDE_THE_ORIGINAL.items()
        for call, goals in calls.items()
        for in_flight, wanted in zip((1, 16, 64), goals, strict=True)
    ),
    Goal(
        text="SubmitJob, 64 in flight, of the no-op's rate",
        entry="verbs",
        wanted=">= 0.80",
        reached=_ratio("SubmitJob", 64),
        good=lambda figure: figure >= 0.8,
    ),
    Goal(
        text="SubmitJob, two workers of one",
        entry="workers",
        wanted=">= 1.30",
        reached=_ratio("SubmitJob, 2 workers", 64),
        good=lambda figure: figure >= 1.3,
    ),
    Goal(
        text="SubmitJobs(1,000), one caller, of the driver's own rate",
        entry="bulk",
        wanted=">= 0.50",
        reached=_ratio("SubmitJobs(1,000)", 1),
        good=lambda figure: figure >= 0.5,
    ),
    Goal(
        text="SubmitJobs(1,000), four callers, of the driver's own rate",
        entry="bulk",
        wanted=">= 0.50",
        reached=_ratio("SubmitJobs(1,000)", 4),
        good=lambda figure: figure >= 0.5,
    ),
    Goal(
        text=f"RequestJobs({JOBS}) in a full database, times as long as while {FEW:,} wait",
        entry="growth",
        wanted="<= 1.20",
        reached=_times(f"RequestJobs({JOBS}), many", 1),
        good=lambda figure: figure <= 1.2,
    ),
    Goal(
        text="a lone SubmitJob, times as long as one fdatasync and one no-op",
        entry="lone-call",
        wanted="<= 1.50",
        reached=_times("SubmitJob", 1),
        good=lambda figure: figure <= 1.5,
    ),
    Goal(
        text="memory with a full database, 1,000 agents and 64 callers, MiB",
        entry="growth",
        wanted=f"< {_MEMORY_MIB}",
        reached=lambda report: report.figures.get(MEMORY),
        good=lambda figure: figure < _MEMORY_MIB,
    ),
    *(
        Goal(
            text=f"p99 of {call} while many others call, times as long as alone",
            entry="mixed-load",
            wanted="<= 3.00",
            reached=_times(mixed_load.name_of(call, mixed_load.BUSY), 1),
            good=lambda figure: figure <= 3,
        )
        for call in mixed_load.CALLS
    ),
    _of_the_bare_view(rest.LIST, 0.3),
    _of_the_bare_view(rest.SUBMIT, 0.4),
    Goal(
        text=f"summary of a group of {groups.MEMBERS:,}, its median, ms",
        entry="groups",
        wanted="<= 5",
        reached=_middle(groups.MANY, 1, lambda sample: sample.p50 * 1000),
        good=lambda figure: figure <= 5,
    ),
    Goal(
        text="its cancellation acknowledged, the slowest, ms",
        entry="groups",
        wanted="<= 1,000",
        reached=lambda report: report.figures[groups.ACKNOWLEDGED] * 1000,
        good=lambda figure: figure <= 1000,
    ),
    Goal(
        text="requests of a hundred queues a second, one at a time",
        entry="many-queues",
        wanted=">= 200",
        reached=_middle(many_queues.NAME, 1, lambda sample: sample.rate),
        good=lambda figure: figure >= 200,
    ),
    Goal(
        text="their 99th percentile, ms",
        entry="many-queues",
        wanted="<= 10",
        reached=_middle(many_queues.NAME, 1, lambda sample: sample.p99 * 1000),
        good=lambda figure: figure <= 10,
    ),
]


def goals_reached(reports: Mapping[str, Report]) -> Iterator[list[str]]:
    for goal in GOALS:
        figure = goal.reached(reports[goal.entry]) if goal.entry in reports else None
        if figure is not None:
            yield [goal.text, goal.wanted, f"{figure:,.2f}", "yes" if goal.good(figure) else "no"]
