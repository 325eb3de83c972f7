"""The worst honest request to each call, address and page: with few jobs on record, and with many."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from benchmarks import worst_calls, worst_pages
from benchmarks.bench import Bench
from benchmarks.measure import Contender, Row, by_latency, compare
from benchmarks.report import Report
from benchmarks.worst_world import CLUSTERS, QUEUES, World, make_world

FEW = 10_000
# What may grow more is named in docs/benchmarks.md with its bound.
MOST_GROWTH = 1.2
_FEW, _MANY = "few", "many"


def measure(bench: Bench) -> Report:
    many = bench.plan.growth
    worlds = {_FEW: make_world(bench, FEW), _MANY: make_world(bench, many)}
    plan = replace(bench.plan, in_flight=(1,))
    rows = [row for pair in contenders(worlds) for row in compare(pair, plan, compared=by_latency)]
    return Report(
        title=f"The worst honest requests, with {FEW:,} and {many:,} jobs that wait and as many that are over",
        yardstick=_FEW,
        rows=rows,
        notes=[
            f"{CLUSTERS:,} clusters with {QUEUES:,} queues beside, in both",
            *(f"{1 / row.ratio:.2f} times as long: {row.name}" for row in _grown(rows)),
        ],
    )


def contenders(worlds: dict[str, World]) -> Iterator[list[Contender]]:
    for call, wanted in worst_calls.CALLS.items():
        for what, credential, request in wanted:
            yield [worst_calls.case(call, what, credential, request, world, name) for name, world in worlds.items()]
    for row, addresses in worst_pages.PAGES.items():
        for what, address in addresses:
            yield [worst_pages.page(row, what, address, world, name) for name, world in worlds.items()]
    # The last, since others ask for the jobs that these change.
    for row, changes in worst_pages.CHANGES.items():
        for what, address, contents in changes:
            yield [worst_pages.change(row, what, address, contents, world, name) for name, world in worlds.items()]


def _grown(rows: list[Row]) -> list[Row]:
    """By processor time as well: a busy machine lengthens single calls."""
    return [row for row in rows if row.ratio < 1 / MOST_GROWTH and median(row.cost_ratios) > MOST_GROWTH]
