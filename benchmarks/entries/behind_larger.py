"""A request for small jobs where larger ones wait before the only one that fits."""

import sys
from dataclasses import replace
from itertools import repeat

from benchmarks import requests
from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case, path_of
from benchmarks.cluster import Cluster, register
from benchmarks.fill import fill_like
from benchmarks.measure import by_latency, compare
from benchmarks.report import Report
from rainbow.protos import rainbow_pb2 as pb

FEW = 10_000
_LARGE = pb.JobSpec(name="large", nodes=16, command="hostname")


def measure(bench: Bench) -> Report:
    many = bench.plan.growth
    server = bench.start_server()
    cases = [_request(_cluster(server, number), number) for number in (FEW, many // 10, many)]
    return Report(
        title="One job of one node behind jobs of 16 nodes",
        yardstick=f"{FEW:,}",
        rows=compare(cases, replace(bench.plan, in_flight=(1,)), compared=by_latency),
        notes=["requests are of an agent with room for one node; all clusters are in one database"],
    )


def name_of(number: int) -> str:
    return f"RequestJobs({JOBS}), {number:,} before it"


def _cluster(server: Server, number: int) -> tuple[Cluster, int]:
    print(f"  filling: {number:,}", file=sys.stderr)
    cluster = register(server, f"behind-{number}")
    fill_like(server, cluster.add_jobs(1, _LARGE), each=number)
    (small,) = cluster.add_jobs(1)
    return cluster, small


def _request(filled: tuple[Cluster, int], number: int) -> Case:
    cluster, small = filled
    message = requests.agents_request(cluster, jobs=JOBS, room=1).SerializeToString()
    return Case(
        name=name_of(number),
        server=cluster.server,
        method=path_of("RequestJobs"),
        messages=lambda seconds: repeat(message),
        is_right=lambda reply: list(pb.RequestJobsResponse.FromString(reply).jobids) == [small],
        jobs=1,
    )
