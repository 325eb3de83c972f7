"""python -m benchmarks: measures rainbow's server and prints what it found. docs/benchmarks.md says how to read it."""

import json
import signal
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Plan, open_bench
from benchmarks.databases import KINDS
from benchmarks.entries import ENTRIES
from benchmarks.machine import describe_machine
from benchmarks.report import Report, as_json, as_text, failures_of


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    # So that a `kill` stops the servers and removes their databases, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(options: Namespace) -> int:
    began = time.monotonic()
    plan = Plan(seconds=options.seconds, rounds=options.rounds, in_flight=tuple(options.in_flight))
    reports: dict[str, Report] = {}
    with open_bench(plan=plan, database=options.database, folder=options.folder) as bench:
        machine = {"database": bench.databases.release, **describe_machine(bench.folder)}
        print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
        for name in options.entries or ENTRIES:
            print(f"{name} …", file=sys.stderr)
            with bench.servers_stopped():
                reports[name] = ENTRIES[name](bench)
            print(f"\n{as_text(reports[name])}", flush=True)
    print(f"\n{plan.rounds} rounds of {plan.seconds:g} s each; {time.monotonic() - began:.0f} s in all")
    if options.json:
        _write_json(options.json, machine, plan, reports)
    return 1 if any(failures_of(report) for report in reports.values()) else 0


def _write_json(path: Path, machine: dict[str, str], plan: Plan, reports: dict[str, Report]) -> None:
    settings = {"seconds": plan.seconds, "rounds": plan.rounds, "in_flight": plan.in_flight}
    entries = {name: as_json(report) for name, report in reports.items()}
    path.write_text(json.dumps({"machine": machine, "plan": settings, "entries": entries}, indent=2) + "\n")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks", description="Measures rainbow's server on this machine.")
    parser.add_argument("entries", nargs="*", metavar="ENTRY", type=_entry, help=f"{', '.join(ENTRIES)}; default: all")
    parser.add_argument("--database", choices=KINDS, default="sqlite", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated (%(default)s)")
    parser.add_argument(
        "--in-flight", type=_numbers, default=[1, 16, 64], metavar="N,N…", help="calls in flight (1,16,64)"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the databases lie for the while; /dev/shm leaves out the disk"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    return parser


def _entry(name: str) -> str:
    if name not in ENTRIES:
        raise ArgumentTypeError(f"{name!r} is none of {', '.join(ENTRIES)}")
    return name


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise ArgumentTypeError("calls in flight are 1 or more")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
