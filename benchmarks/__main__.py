"""python -m benchmarks: measures rainbow's server and prints what it found. docs/benchmarks.md says how to read it."""

import json
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import comparison
from benchmarks.baseline import best, load, ratios_of, regressions, save, usual
from benchmarks.bench import Bench, OtherServer, Plan, open_bench
from benchmarks.databases import KINDS
from benchmarks.entries import ALONE, ENTRIES, ONCE, against
from benchmarks.goals import goals_reached
from benchmarks.machine import describe_machine
from benchmarks.options import parser
from benchmarks.report import Report, as_json, as_text, failures_of, table

Reports = dict[str, Report]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    # So that a `kill` stops the servers and removes their databases, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return comparison.run(options) if options.base else _run(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(options: Namespace) -> int:
    began = time.monotonic()
    plan = Plan(
        seconds=options.seconds,
        rounds=options.rounds,
        in_flight=options.in_flight,
        growth=options.growth,
        jobs=options.jobs,
        **({"schedulers": tuple(options.scheduler)} if options.scheduler else {}),
    )
    about: dict[str, Any] = {"plan": asdict(plan), "transport": options.transport}
    found: dict[str, Reports] = {}
    beside_another = options.against or options.against_command
    for database in options.database or (["sqlite"] if beside_another else KINDS):
        with open_bench(plan=plan, database=database, folder=options.folder, transport=options.transport) as bench:
            about[database] = {"database": bench.databases.release, **describe_machine(bench.folder)}
            _print("", *(f"{name}: {value}" for name, value in about[database].items()))
            found[database] = dict(_measure(bench, options, first=not found))
    _print("", f"{plan.rounds} rounds of {plan.seconds:g} s each; {time.monotonic() - began:.0f} s in all")
    for database, reports in found.items():
        _print_goals(database, reports)
    if options.json:
        entries = {
            database: {name: as_json(report) for name, report in reports.items()} for database, reports in found.items()
        }
        options.json.write_text(json.dumps({"about": about, "entries": entries}, indent=2) + "\n")
    failed = any(failures_of(report) for reports in found.values() for report in reports.values())
    return 1 if failed or _regressed(options, about, found) else 0


def _measure(bench: Bench, options: Namespace, *, first: bool) -> Iterator[tuple[str, Report]]:
    """Yields each report when it is printed. `first` is the first of the databases."""
    if options.against or options.against_command:
        yield against.name_of(options.transport), _printed(bench, "against", _other_server(bench, options))
        return
    for name in options.entries or ENTRIES:
        if options.entries or (name not in ALONE and (first or name not in ONCE)):
            yield name, _printed(bench, name)


def _printed(bench: Bench, name: str, other: Callable[[], OtherServer] | None = None) -> Report:
    print(f"{name} …", file=sys.stderr)
    with bench.servers_stopped():
        report = against.measure(bench, other) if other else ENTRIES[name](bench)
    _print("", as_text(report))
    return report


def _other_server(bench: Bench, options: Namespace) -> Callable[[], OtherServer]:
    if command := options.against_command:
        return lambda: bench.start_other(command)
    secret = options.registration_secret_file
    there = OtherServer(
        address=options.against, registration_secret=secret.read_text().splitlines()[0].strip() if secret else ""
    )
    return lambda: there


def _print_goals(database: str, reports: Reports) -> None:
    goals = list(goals_reached(reports))
    if goals:
        _print("", f"Goals, {database}", "", *table([["goal", "wanted", "reached", "so"], *goals]))


def _regressed(options: Namespace, about: dict[str, Any], found: dict[str, Reports]) -> bool:
    """Whether --check found something, which is printed. --save-baseline keeps the ratios afterwards."""
    worse: list[str] = []
    if options.check:
        now, before = ratios_of(found, best), load(options.baseline)
        worse = list(
            regressions(now, before, rate_tolerance=options.rate_tolerance, cost_tolerance=options.cost_tolerance)
        )
        compared = len(now.keys() & before.keys())
        _print("", f"{compared} of {len(now)} ratios compared with {options.baseline}", *(f"WORSE: {w}" for w in worse))
    if options.save_baseline:
        save(options.baseline, about, ratios_of(found, usual))
    return bool(worse)


def _print(*lines: str) -> None:
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
