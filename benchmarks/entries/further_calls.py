"""All calls but the three verbs, each beside the call that does nothing."""

from dataclasses import replace

from benchmarks import cases, further_cases
from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import register
from benchmarks.measure import compare
from benchmarks.report import Report

_WAITING = 10_000
# Few of these calls come at once.
_MOST_IN_FLIGHT = 64


def measure(bench: Bench) -> Report:
    in_flight = [number for number in bench.plan.in_flight if number <= _MOST_IN_FLIGHT] or [_MOST_IN_FLIGHT]
    rows = compare(
        contenders(bench.start_server()),
        replace(bench.plan, in_flight=tuple(sorted({min(in_flight), max(in_flight)}))),
    )
    return Report(title="All other calls", yardstick="no-op", rows=rows)


def contenders(server: Server) -> list[Case]:
    """The first is the yardstick."""
    reading, rotating, submitting, reporting, ending, cancelling = (
        register(server, name) for name in ("reads", "rotates", "submits", "reports", "ends", "cancels")
    )
    grouping = register(server, "groups")
    group, _ = grouping.add_group(JOBS)
    stopped, members = cancelling.add_group(1)
    cancelling.accept(members)
    waiting = reading.add_jobs(_WAITING)
    over = submitting.add_jobs(1)
    submitting.cancel(over)
    return [
        cases.serial(server),
        cases.stream(server),
        cases.register_cluster(server),
        further_cases.submit_jobs(submitting),
        further_cases.submit_job_stream(submitting),
        further_cases.get_jobs(reading, waiting[:JOBS]),
        further_cases.list_jobs(reading),
        further_cases.summarize_jobs(reading),
        further_cases.get_group(grouping, group),
        further_cases.list_groups(grouping, group),
        further_cases.cancel_group(cancelling, stopped),
        further_cases.list_clusters(reading),
        further_cases.cancel_jobs(cancelling),
        further_cases.heartbeat(reporting, further_cases.accepted(reporting, JOBS)),
        further_cases.report_ends(ending),
        further_cases.watch_jobs(submitting, over),
        further_cases.resubmit_jobs(submitting, over),
        further_cases.rotate_credential(rotating),
    ]
