"""Which clusters serve which queues: what is kept equals what would be found anew, whatever changed in which order."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db.models import Q

from clusters.bounds import Bounds
from clusters.callers import Operator
from clusters.facts import Facts, Partition
from clusters.matching import miss
from clusters.models import Cluster, PoolMember
from jobs.models import Job, Queue, Serves
from jobs.placement import Definition, demand_of
from jobs.queries.queue import request_jobs
from jobs.reports import Report, Return
from jobs.services.accept import accept_jobs
from jobs.services.move import move_jobs
from jobs.services.pools import Member, change_pool
from jobs.services.report import report_jobs
from jobs.services.serving import facts_changed
from jobs.states import JobState
from tests.conftest import registered
from tests.support.long import first_of
from tests.support.pools import pool_of
from tests.support.queue import counted, operator_named, recounted, submitted

NAMES = ("c0", "c1", "c2", "c3")
STEPS = 50
DELAYS = (0, 0, 30, 600)
NEEDS: tuple[tuple[str, ...], ...] = ((), (), ("gpu",), ("!gpu",), ("site=a",), ("nodes>=4", "site=b"))


class World:
    """Clusters, two pools of some of them, and an operator who changes them."""

    def __init__(self, random: Random, now: datetime) -> None:
        self.random, self.now = random, now
        self.members = [registered(name, now) for name in NAMES]
        self.pools = [pool_of("c0", "c1", name=name, now=now) for name in ("p0", "p1")]
        self.olga: Operator = operator_named("olga")

    def submit(self) -> None:
        choose = self.random.choice
        target: Any = choose([*self.members, *self.pools])
        sizes = {"nodes": choose([1, 3, 4, 6, 12]), "tasks": choose([0, 0, 5, 24])}
        said: dict[str, Any] = {"needs": choose(NEEDS), "partition": choose(["", "", "batch", "long"])}
        submitted(target, now=self.now, hold_if_unservable=True, **sizes, **said)

    def tell_facts(self) -> None:
        member = self.random.choice(self.members)
        Cluster.objects.filter(id=member.cluster.id).update(facts=self.some_facts().said())
        facts_changed(cluster_ids=[member.cluster.id])

    def some_facts(self) -> Facts:
        choose = self.random.choice
        partitions = [
            Partition(name=name, nodes=choose([2, 4, 8, 16]), cores_per_node=choose([0, 4]))
            for name in self.random.sample(["batch", "long"], k=choose([0, 1, 2]))
        ]
        values = {name: value for name, value in (("gpu", 4), ("site", choose(["a", "b"]))) if choose([True, False])}
        return Facts(values=values, partitions=tuple(partitions))

    def change_pool(self) -> None:
        pool = self.random.choice(self.pools)
        names = self.random.sample(NAMES, k=self.random.randint(1, len(NAMES)))
        members = [Member(cluster=name, after_seconds=self.random.choice(DELAYS)) for name in names]
        change_pool(pool_id=pool.cluster.id, members=members, by=self.olga, now=self.now)

    def move(self) -> None:
        waiting = list(Job.objects.filter(state=JobState.QUEUED).values_list("id", flat=True))
        target: Any = self.random.choice([*self.members, *self.pools])
        if waiting:
            some = self.random.sample(waiting, k=min(3, len(waiting)))
            move_jobs(by=self.olga, job_ids=some, cluster_id=target.cluster.id, reason="there", now=self.now)

    def give_back(self) -> None:
        member = self.random.choice(self.members)
        for job in list(request_jobs(caller=member.puller, shared=True, limit=2, now=self.now)):
            accept_jobs(caller=member.puller, job_ids=[job.id], agent="agent-1", now=self.now)
            why = self.random.choice(list(Return))
            state = JobState.FAILED if why == Return.REFUSED else JobState.CANCELLED
            report = Report(job_id=job.id, attempt=job.attempt, state=state, reason="no", returned=why)
            report_jobs(caller=member.puller, agent="agent-1", reports=[report], now=self.now)

    def wait(self) -> None:
        self.now += timedelta(seconds=self.random.choice([1, 40]))


def kept() -> set[tuple[int, str, int, bool]]:
    return set(Serves.objects.values_list("queue_id", "cluster__name", "after_seconds", "whole"))


def found_anew() -> set[tuple[int, str, int, bool]]:
    rows = set()
    for queue in Queue.objects.select_related("cluster"):
        definition = Definition.read(queue.cluster_id, queue.definition)
        reach = [(one.cluster, one.after_seconds) for one in PoolMember.objects.filter(pool_id=queue.cluster_id)]
        for cluster, after in reach if queue.cluster.pool else [(queue.cluster, 0)]:
            facts = Facts.read(Cluster.objects.get(id=cluster.id).facts)
            if cluster.id not in definition.without and miss(definition.least(cluster.name), facts) is None:
                whole = not definition.mixed and miss(definition.most(cluster.name), facts) is None
                rows.add((queue.id, cluster.name, after, whole))
    return rows


def offered(member: Any, now: datetime) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, bounds=Bounds(), shared=True, now=now)]


def suits(job: Job, cluster: Cluster, now: datetime) -> bool:
    """Whether the cluster may take the job, by the job alone and not by its queue."""
    if str(cluster.id) in job.given_back:
        return False
    members = PoolMember.objects.filter(Q(pool_id=job.cluster_id), Q(cluster=cluster))
    after = 0 if job.cluster_id == cluster.id else min(members.values_list("after_seconds", flat=True), default=None)
    if after is None or job.submitted_at > now - timedelta(seconds=after):
        return False
    values = {name: getattr(job, name) for name in (*SIZED, "gpu_type", "partition", "needs", "options_by_cluster")}
    return miss(demand_of(values, cluster.name), Facts.read(cluster.facts)) is None


SIZED = ("nodes", "tasks", "time_limit_seconds", "cores_per_task", "gpus_per_task", "memory_mib_per_node")


@pytest.mark.django_db
@pytest.mark.parametrize("seed", first_of(range(3), 1))
def test_what_is_kept_is_what_would_be_found_anew_after_any_order_of_changes(seed: int, now: datetime) -> None:
    world = World(Random(seed), now)
    changes: list[Callable[[], None]] = [
        *[world.submit] * 4, *[world.tell_facts] * 2, world.change_pool, world.move, world.give_back, world.wait,
    ]  # fmt: skip

    most = 0
    for _ in range(STEPS):
        world.random.choice(changes)()
        assert kept() == found_anew()
        most = max(most, len(kept()))

    assert most > 10
    assert counted() == recounted()
    for member in world.members:
        cluster = Cluster.objects.get(id=member.cluster.id)
        waiting = Job.objects.filter(state=JobState.QUEUED).order_by("-priority", "id")
        assert offered(member, world.now) == [job.id for job in waiting if suits(job, cluster, world.now)]
