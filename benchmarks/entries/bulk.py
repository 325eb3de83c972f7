"""Many jobs in one call, beside the database driver's own insertion of the same rows: the storage's limit."""

from dataclasses import replace

from benchmarks import further_cases
from benchmarks.bench import Bench, Server
from benchmarks.cluster import register
from benchmarks.driver import Insertion
from benchmarks.entries.verbs import lost
from benchmarks.measure import Row, compare
from benchmarks.report import Report
from benchmarks.storage import Pattern, pattern_of

_SIZES = (1, 10, 100, 1_000)
_CALLERS = (1, 4)


def measure(bench: Bench) -> Report:
    submitting = register(bench.start_server(), "submits")
    # The driver works in a database like the server's, beside a server that does nothing.
    idle = bench.start_server()
    pattern = pattern_of(register(idle, "inserts"), idle)
    submitted: list[int] = []
    rows: list[Row] = []
    for size in _SIZES:
        alone, with_events = (_insertion(idle, pattern, size, with_events=flag) for flag in (False, True))
        call = further_cases.submit_jobs(submitting, each=size, submitted=submitted)
        rows += compare([alone, with_events, call], replace(bench.plan, in_flight=_CALLERS))
    return Report(
        title="Many jobs a call",
        yardstick="driver",
        rows=rows,
        notes=["the server stores an event with each job, and counts it; the driver stores what its line says"],
        failures=lost(submitting, submitted),
    )


def _insertion(server: Server, pattern: Pattern, size: int, *, with_events: bool) -> Insertion:
    name = f"driver, {size:,} job{'s' * (size > 1)}" + (" and events" if with_events else "")
    return Insertion(name=name, server=server, pattern=pattern, jobs=size, with_events=with_events)
