"""Requests of a thousand clusters that serve a hundred queues each, through the pools that they are in."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from benchmarks import requests
from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case, path_of
from benchmarks.cluster import Cluster, register
from benchmarks.fill import fill_like
from benchmarks.measure import compare
from benchmarks.pools import make_pools
from benchmarks.report import Report
from rainbow.protos import rainbow_pb2 as pb

CLUSTERS, POOLS, POOLS_OF_A_CLUSTER = 1_000, 100, 10
_HANDS = POOLS // POOLS_OF_A_CLUSTER
# Each in a class, and so in a queue, of its own.
_NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_BOUNDS = (0, 1, 3, 8, 20, 128, 500)
NAME = f"RequestJobs({JOBS})"


def measure(bench: Bench) -> Report:
    server = bench.start_server()
    print("  registering, and filling", file=sys.stderr)
    clusters = [register(server, f"c{number}") for number in range(CLUSTERS)]
    _fill(server, _pools(bench, server, clusters), bench.plan.growth)
    queues = POOLS * len(_NODES)
    return Report(
        title=f"While {bench.plan.growth:,} jobs of {queues:,} queues wait",
        yardstick="itself",
        rows=compare([_requests(server, clusters)], replace(bench.plan, in_flight=(1, 16))),
        notes=[
            f"{CLUSTERS:,} clusters, each of which serves {POOLS_OF_A_CLUSTER * len(_NODES)} queues of "
            f"{POOLS_OF_A_CLUSTER} of {POOLS} pools",
            "each request is of a random cluster and has random room",
        ],
    )


def _pools(bench: Bench, server: Server, clusters: Sequence[Cluster]) -> list[Cluster]:
    """Dealt anew to each ten pools, so that hardly two clusters serve the same queues."""
    random = Random(1)
    names = [cluster.name for cluster in clusters]
    members: dict[str, list[str]] = {}
    for _ in range(POOLS_OF_A_CLUSTER):
        random.shuffle(names)
        members |= {f"p{len(members) + place}": names[place::_HANDS] for place in range(_HANDS)}
    return make_pools(bench, server, members)


def _fill(server: Server, pools: Sequence[Cluster], number: int) -> None:
    jobs = [pb.JobSpec(name="a job", nodes=nodes, command="hostname") for nodes in _NODES]
    patterns = [job_id for pool in pools for job in jobs for job_id in pool.add_jobs(1, job)]
    fill_like(server, patterns, each=number // len(patterns))


def _requests(server: Server, clusters: Sequence[Cluster]) -> Case:
    random = Random(1)

    def messages(seconds: float) -> Iterator[bytes]:
        while True:
            cluster = random.choice(clusters)
            yield requests.agents_request(cluster, jobs=JOBS, room=random.choice(_BOUNDS)).SerializeToString()

    return Case(
        name=NAME,
        server=server,
        method=path_of("RequestJobs"),
        messages=messages,
        is_right=lambda reply: len(pb.RequestJobsResponse.FromString(reply).jobids) == JOBS,
        jobs=JOBS,
    )
