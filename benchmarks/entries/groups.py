"""How long it takes to sum up a large group and to cancel it, and what others notice while its members end."""

from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter, sleep

from benchmarks import cases, further_cases
from benchmarks.bench import Bench
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import Cluster, register
from benchmarks.measure import Row, Sample, by_latency, by_slowest, compare
from benchmarks.report import Report

MEMBERS = 100_000
# The figures of a report, in seconds.
ACKNOWLEDGED, ENDED = "until the cancellation of a group is acknowledged", "until all of its members are cancelled"
FEW, MANY = "GetGroup, few members", "GetGroup, many members"
ALONE, BESIDE = "SubmitJob, alone", "SubmitJob, while a group is cancelled"
_POLL_SECONDS = 0.2


def measure(bench: Bench) -> Report:
    return measure_groups_of(MEMBERS, bench)


def measure_groups_of(members: int, bench: Bench) -> Report:
    server = bench.start_server()
    few, other = register(server, "few"), register(server, "other")
    many = [register(server, f"many-{number}") for number in range(bench.plan.rounds)]
    groups = [cluster.add_group(members)[0] for cluster in many]
    summed_up = ((FEW, few, few.add_group(JOBS)[0]), (MANY, many[0], groups[0]))
    summaries = [replace(further_cases.get_group(cluster, group), name=name) for name, cluster, group in summed_up]
    rows = compare(summaries, replace(bench.plan, in_flight=(1,)), compared=by_latency)
    submitting, seconds = cases.submit_job(other), bench.plan.seconds
    found = [_cancel(cluster, group, submitting, seconds) for cluster, group in zip(many, groups, strict=True)]
    return Report(
        title=f"Groups of {members:,} members",
        yardstick=f"{JOBS} members, or alone",
        rows=[*rows, *_rows(found)],
        notes=[
            f"cancelled are {len(groups)} groups of {members:,} members that wait, one after the other; until it was "
            f"acknowledged: {max(one.acknowledged for one in found) * 1000:.1f} ms at most; until all members were "
            f"cancelled: {median(one.ended for one in found):.1f} s"
        ],
        figures={
            ACKNOWLEDGED: max(one.acknowledged for one in found),
            ENDED: median(one.ended for one in found),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cancelled:
    acknowledged: float
    ended: float
    alone: Sample
    beside: Sample


def _cancel(cluster: Cluster, group: int, submitting: Case, seconds: float) -> _Cancelled:
    alone = submitting.measure(in_flight=1, seconds=seconds)
    began = perf_counter()
    cluster.cancel_group(group)
    acknowledged = perf_counter() - began
    beside = submitting.measure(in_flight=1, seconds=seconds)
    while not cluster.group(group).HasField("finished_at"):
        sleep(_POLL_SECONDS)
    return _Cancelled(acknowledged=acknowledged, ended=perf_counter() - began, alone=alone, beside=beside)


def _rows(found: list[_Cancelled]) -> list[Row]:
    alone = [one.alone for one in found]
    return [
        Row(name=name, in_flight=1, samples=samples, yardstick=alone, jobs=1, compared=by_slowest)
        for name, samples in ((ALONE, alone), (BESIDE, [one.beside for one in found]))
    ]
