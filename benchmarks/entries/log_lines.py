"""The cost of a call's log line: the other entries run without it."""

from dataclasses import replace

from benchmarks import cases
from benchmarks.bench import Bench
from benchmarks.measure import compare
from benchmarks.report import Report


def measure(bench: Bench) -> Report:
    quiet, usual = bench.start_server(log_level="WARNING"), bench.start_server(log_level="INFO")
    most = replace(bench.plan, in_flight=(max(bench.plan.in_flight),))
    return Report(
        title="Serial with and without its line of log",
        yardstick="without",
        rows=compare([cases.serial(quiet, name="without"), cases.serial(usual, name="with, to a file")], most),
    )
