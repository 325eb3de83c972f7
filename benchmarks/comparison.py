"""Entries of the benchmarks on the servers of another revision and of this checkout, in turn."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.bench import Bench, Plan, open_bench
from benchmarks.databases import KINDS
from benchmarks.entries import ENTRIES, Entry
from benchmarks.machine import describe_machine
from benchmarks.measure import Row, Sample
from benchmarks.report import Report, failures_of, table
from benchmarks.revision import make_environment, worktree

DEFAULT_ENTRIES = ("verbs", "further-calls", "bulk")
_HEAD = ("call", "in flight", "calls/s", "of before", "from-to", "p50 ms", "p99 ms", "CPU s/1k", "of before")


def run(options: Namespace) -> int:
    """Print how this checkout does beside the revision of --base, as Markdown; returns the exit code."""
    with TemporaryDirectory(prefix="rainbow-base-") as folder, worktree(options.base, Path(folder)) as checkout:
        base = make_environment(checkout, transport=options.transport)
        return max(_compare_on(database, options, base) for database in options.database or KINDS)


def _compare_on(database: str, options: Namespace, base: Sequence[str]) -> int:
    plan = Plan(seconds=options.seconds, rounds=1, in_flight=options.in_flight, growth=options.growth)
    bench = partial(open_bench, plan=plan, database=database, folder=options.folder, transport=options.transport)
    with bench(manage=base) as before, bench() as after:
        about = {"database": after.databases.release, **describe_machine(after.folder), "before": options.base}
        print("", *(f"{name}: {value}" for name, value in about.items()), sep="\n", flush=True)
        failures = [
            failure
            for name in options.entries or DEFAULT_ENTRIES
            for failure in _printed(name, ENTRIES[name], before, after, options.rounds)
        ]
    return 1 if failures else 0


def _printed(name: str, entry: Entry, before: Bench, after: Bench, rounds: int) -> list[str]:
    pairs = [(_measured(entry, before), _measured(entry, after)) for _ in range(rounds)]
    failures = [failure for pair in pairs for report in pair for failure in failures_of(report)]
    title = f"{name}, before and after: {pairs[0][1].title}"
    print("", title, "", *lines(rows_of(pairs)), *(f"- FAILED: {text}" for text in failures), sep="\n", flush=True)
    return failures


def _measured(entry: Entry, bench: Bench) -> Report:
    print(f"  {bench.manage[-1]}", file=sys.stderr)
    with bench.servers_stopped():
        return entry(bench)


def rows_of(pairs: Sequence[tuple[Report, Report]]) -> Iterator[Row]:
    """What both measured: those of after, whose yardsticks are those of before in the same round."""
    for row in pairs[0][1].rows:
        found = [tuple(report.row(row.name, row.in_flight) for report in pair) for pair in pairs]
        both = [(before, after) for before, after in found if before and after]
        if len(both) == len(pairs):
            yield Row(
                name=row.name,
                in_flight=row.in_flight,
                samples=[sample for _, after in both for sample in after.samples],
                yardstick=[sample for before, _ in both for sample in before.samples],
            )


def lines(rows: Iterable[Row]) -> list[str]:
    """A table of before → after, and of the medians of the rounds' ratios."""
    return table([[*_HEAD], *map(_cells, rows)])


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        f"{row.in_flight}",
        _both(row, lambda sample: sample.rate, "{:,.0f}"),
        f"{row.ratio:.2f}",
        f"{min(row.ratios):.2f}-{max(row.ratios):.2f}",
        _both(row, lambda sample: sample.p50 * 1_000, "{:.2f}"),
        _both(row, lambda sample: sample.p99 * 1_000, "{:.2f}"),
        _both(row, lambda sample: sample.cost * 1_000, "{:.3f}"),
        f"{median(row.cost_ratios):.2f}",
    ]


def _both(row: Row, figure: Callable[[Sample], float], form: str) -> str:
    before, after = (form.format(median(map(figure, samples))) for samples in (row.yardstick, row.samples))
    return f"{before} → {after}"
