"""A server with all that may be long at once: clusters, queues, jobs of one cluster and one person, and rare ones."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import requests
from benchmarks.bench import Bench, Server
from benchmarks.cluster import Cluster, register
from benchmarks.fill import fill
from benchmarks.pages import ACCOUNT, Visitor, add_account, sign_in
from benchmarks.pools import make_pools
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobState
from rainbow.reports import JobReport
from tests.support.rows import execute
from tests.support.servers import environment_for

CLUSTERS, POOL = 1_000, 100
# Each in a class, and so in a queue, of its own.
_NODES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
QUEUES = CLUSTERS * len(_NODES)
_JOBS_FOR_A_MEMBER, _MOST_MEMBERS = 10, 100_000
_LABELS = {"project": "climate"}
# Larger than what the requests have room for.
_LARGE = pb.JobSpec(name="large", nodes=600, command="hostname", labels=_LABELS)

_MAKE_A_PERSON = """
import json, sys
from datetime import UTC, datetime
from django.contrib.auth.models import User
from clusters.callers import Operator
from clusters.models import Role
from clusters.services.personal_tokens import Wish, create_personal_token
from clusters.services.projects import Change, add_member, create_project, grant_cluster
said = json.load(sys.stdin)
user = User.objects.get(username=said["person"])
now = datetime.now(UTC)
server, person = Change(by=None, now=now), Change(by=Operator(user_id=user.id, name=user.username), now=now)
project = create_project(name="worst", change=server)
add_member(project_id=project.id, person=user.username, role=Role.LEAD, change=server)
grant_cluster(project_id=project.id, cluster=said["cluster"], change=server)
print(create_personal_token(wish=Wish(label="worst"), change=person).value)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`huge` has so many jobs that wait and as many that are over, submitted by the person of `personal`.

    `failed` is the only job of its state, older than all others of the cluster. `group` has a tenth as many members, at
    most 100,000.
    """

    server: Server
    visitor: Visitor
    huge: Cluster
    personal: str
    pool: Cluster
    members: list[str]
    failed: int
    waiting: range
    group: int
    huge_id: int
    pool_id: int

    @property
    def by_person(self) -> Cluster:
        return Cluster(name=self.huge.name, token=self.personal, secret=self.huge.secret, server=self.server)


def make_world(bench: Bench, jobs: int, *, clusters: int = CLUSTERS) -> World:
    print(f"  filling: {clusters:,} clusters, {jobs:,} jobs", file=sys.stderr)
    running = bench.start_web()
    server = bench.as_server(running)
    add_account(server.database_url, manage=bench.manage)
    huge = register(server, "huge")
    personal = _person(bench, server, huge)
    failed = _fail_one(huge)
    members = [cluster.name for cluster in list(_clusters(server, clusters))[:POOL]]
    (pool,) = make_pools(bench, server, {"pool": members})
    by_person = Cluster(name=huge.name, token=personal, secret=huge.secret, server=server)
    group, _ = by_person.add_group(min(jobs // _JOBS_FOR_A_MEMBER, _MOST_MEMBERS), _LARGE)
    waiting = fill(by_person, server, finished=jobs, waiting=jobs, like=_LARGE)
    visitor = sign_in(running.web, pid=running.process.pid, database_pid=server.database_pid)
    return World(
        server=server,
        visitor=visitor,
        huge=huge,
        personal=personal,
        pool=pool,
        members=members,
        failed=failed,
        waiting=waiting,
        group=group,
        huge_id=_id_of(huge, server),
        pool_id=_id_of(pool, server),
    )


def _id_of(cluster: Cluster, server: Server) -> int:
    ((found,),) = execute(server.database_url, "SELECT id FROM clusters_cluster WHERE name = %s", [cluster.name])
    return int(found)


def _person(bench: Bench, server: Server, cluster: Cluster) -> str:
    done = subprocess.run(
        [*bench.manage, "shell", "--verbosity", "0", "--command", _MAKE_A_PERSON],
        env=environment_for(server.database_url),
        input=json.dumps({"person": ACCOUNT["username"], "cluster": cluster.name}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1]


def _fail_one(cluster: Cluster) -> int:
    (job_id,) = cluster.add_jobs(1)
    cluster.accept([job_id], agent=requests.AGENT)
    with Client(cluster.address, cluster=cluster.name, secret=cluster.secret) as client:
        report = JobReport(jobid=job_id, attempt=1, state=JobState.FAILED, exit_code=1)
        client.report_jobs([report], agent=requests.AGENT)
    return job_id


def _clusters(server: Server, number: int) -> Iterator[Cluster]:
    jobs = [pb.JobSpec(name="a job", nodes=nodes, command="hostname") for nodes in _NODES]
    for place in range(number):
        cluster = register(server, f"c{place}")
        cluster.add_each(jobs)
        yield cluster
