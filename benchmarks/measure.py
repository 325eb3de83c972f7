"""Measuring cases side by side."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import uvloop

from benchmarks.bench import Plan, Server
from benchmarks.cases import Case
from benchmarks.load import Load, connected, run_load
from benchmarks.processor_time import machine_time, time_of_tree

_WARM_UP_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One case, measured once, in seconds. `others_time` is what the rest of the machine used of the processors."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case at one number of calls in flight. `yardstick` has the samples that were taken beside these."""

    name: str
    in_flight: int
    samples: list[Sample]
    yardstick: list[Sample]

    @property
    def ratio(self) -> float:
        """The median, over the rounds, of its rate to that of the yardstick."""
        return median(mine.rate / other.rate for mine, other in zip(self.samples, self.yardstick, strict=True))

    @property
    def failed(self) -> int:
        return sum(sample.failed for sample in self.samples)

    def middle(self, figure: Callable[[Sample], float]) -> float:
        """The median of a figure over the rounds."""
        return median(map(figure, self.samples))


def compare(cases: Sequence[Case], plan: Plan) -> list[Row]:
    """Measures the cases in turn, round after round: what disturbs the machine then disturbs all alike.

    The first case is the yardstick of the others.
    """
    for case in cases:
        _measure(case, in_flight=max(plan.in_flight), seconds=_WARM_UP_SECONDS)
    rows = []
    for in_flight in plan.in_flight:
        print(f"  {in_flight} in flight", file=sys.stderr)
        rounds = [
            [_measure(case, in_flight=in_flight, seconds=plan.seconds) for case in cases] for _ in range(plan.rounds)
        ]
        columns = [list(samples) for samples in zip(*rounds, strict=True)]
        rows += [
            Row(name=case.name, in_flight=in_flight, samples=samples, yardstick=columns[0])
            for case, samples in zip(cases, columns, strict=True)
        ]
    return rows


def _measure(case: Case, *, in_flight: int, seconds: float) -> Sample:
    return uvloop.run(_sample(case, in_flight, seconds))


async def _sample(case: Case, in_flight: int, seconds: float) -> Sample:
    messages = case.messages(seconds)
    async with connected(case.server.address, case.method, in_flight=in_flight) as connections:
        before = Times.read(case.server)
        load = await run_load(connections, messages, case.is_right, in_flight=in_flight, seconds=seconds)
        spent = Times.read(case.server).since(before)
    if not load.latencies:
        raise RuntimeError(f"no {case.name} succeeded; the server's log ends:\n{case.server.log.read_text()[-2000:]}")
    return summarize(load, spent)


def summarize(load: Load, spent: "Times") -> Sample:
    percentiles = quantiles(load.latencies, n=100) if len(load.latencies) > 1 else load.latencies * 99
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Processor seconds up to now."""

    server: float
    database: float
    load: float
    busy: float
    stolen: float

    @classmethod
    def read(cls, server: Server) -> "Times":
        machine = machine_time()
        return cls(
            server=time_of_tree(server.pid),
            database=time_of_tree(server.database_pid) if server.database_pid else 0.0,
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
