"""Measuring contenders side by side."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Protocol

from benchmarks.bench import AnyServer, Plan
from benchmarks.load import Load
from benchmarks.processor_time import machine_time, time_of_tree

_WARM_UP_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of a contender, in seconds. `others_time` is the processor time of the rest of the machine."""

    calls: int
    failed: int
    seconds: float
    p50: float
    p99: float
    server_time: float
    database_time: float
    load_time: float
    others_time: float
    stolen_time: float

    @property
    def rate(self) -> float:
        return self.calls / self.seconds

    @property
    def cost(self) -> float:
        """Processor seconds of the server and its database for a call."""
        return (self.server_time + self.database_time) / (self.calls + self.failed)


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def jobs(self) -> int: ...

    def measure(self, *, in_flight: int, seconds: float) -> Sample: ...


# How well the first sample does beside the second: 1 is as well, and less is worse.
Comparison = Callable[[Sample, Sample], float]


def by_rate(mine: Sample, other: Sample) -> float:
    return mine.rate / other.rate if other.rate else math.inf


def by_latency(mine: Sample, other: Sample) -> float:
    return other.p50 / mine.p50


def by_slowest(mine: Sample, other: Sample) -> float:
    return other.p99 / mine.p99


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender at one number of calls in flight. `yardstick` has the samples that were taken beside these."""

    name: str
    in_flight: int
    samples: list[Sample]
    yardstick: list[Sample]
    jobs: int = 0
    compared: Comparison = by_rate

    @property
    def ratio(self) -> float:
        """The median of its ratios to the yardstick over the rounds."""
        return median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        return [self.compared(*pair) for pair in self._pairs]

    @property
    def cost_ratios(self) -> list[float]:
        """The same for the processor time of a call, where less is better; zeros where that is not known."""
        known = all(mine.cost and other.cost for mine, other in self._pairs)
        return [mine.cost / other.cost if known else 0.0 for mine, other in self._pairs]

    @property
    def failed(self) -> int:
        return sum(sample.failed for sample in self.samples)

    def middle(self, figure: Callable[[Sample], float]) -> float:
        return median(map(figure, self.samples))

    @property
    def _pairs(self) -> list[tuple[Sample, Sample]]:
        return list(zip(self.samples, self.yardstick, strict=True))


def compare(contenders: Sequence[Contender], plan: Plan, *, compared: Comparison = by_rate) -> list[Row]:
    """Measure contenders in turn, round after round: a disturbance then hits all alike.

    The first is the yardstick of the others.
    """
    for contender in contenders:
        contender.measure(in_flight=max(plan.in_flight), seconds=min(_WARM_UP_SECONDS, plan.seconds))
    return [row for in_flight in plan.in_flight for row in _compare(contenders, plan, in_flight, compared)]


def _compare(contenders: Sequence[Contender], plan: Plan, in_flight: int, compared: Comparison) -> list[Row]:
    print(f"  {', '.join(contender.name for contender in contenders)}; {in_flight} in flight", file=sys.stderr)
    rounds = [
        [contender.measure(in_flight=in_flight, seconds=plan.seconds) for contender in contenders]
        for _ in range(plan.rounds)
    ]
    columns = [list(samples) for samples in zip(*rounds, strict=True)]
    return [
        Row(
            name=contender.name,
            in_flight=in_flight,
            jobs=contender.jobs,
            samples=samples,
            yardstick=columns[0],
            compared=compared,
        )
        for contender, samples in zip(contenders, columns, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Processor seconds up to now, or between two moments. `stolen` went to other virtual machines."""

    server: float
    database: float
    load: float
    busy: float
    stolen: float

    @classmethod
    def read(
        cls, server: AnyServer | None = None, *, pid: int | None = None, database_pid: int | None = None
    ) -> "Times":
        """Of a server and its database, or of these processes; of this process, and of the machine."""
        machine = machine_time()
        if server:
            pid, database_pid = server.pid, server.database_pid
        return cls(
            server=time_of_tree(pid) if pid else 0.0,
            database=time_of_tree(database_pid) if database_pid else 0.0,
            load=time.process_time(),
            busy=machine.busy,
            stolen=machine.stolen,
        )

    def since(self, before: "Times") -> "Times":
        return Times(
            server=self.server - before.server,
            database=self.database - before.database,
            load=self.load - before.load,
            busy=self.busy - before.busy,
            stolen=self.stolen - before.stolen,
        )


def summarize(load: Load, spent: Times) -> Sample:
    some = load.latencies or [math.nan]
    percentiles = quantiles(some, n=100) if len(some) > 1 else some * 99
    return Sample(
        calls=len(load.latencies),
        failed=load.failed,
        seconds=load.seconds,
        p50=percentiles[49],
        p99=percentiles[98],
        server_time=spent.server,
        database_time=spent.database,
        load_time=spent.load,
        others_time=max(0.0, spent.busy - spent.server - spent.database - spent.load),
        stolen_time=spent.stolen,
    )
