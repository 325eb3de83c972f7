"""Whatever happens to clusters and pools: the job that a cluster would take is offered to it, and no other is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim
from clusters.facts import Facts, Partition
from clusters.models import Cluster
from clusters.services.authenticate import admit, note_visits
from clusters.services.pause import pause_cluster, resume_cluster
from clusters.services.streaks import End, let_go, note_ends
from jobs.models import Job
from jobs.queries.explain import explain_wait
from jobs.queries.prospects import Outlook
from jobs.queries.queue import request_jobs
from jobs.reports import Report, Return
from jobs.services import placing
from jobs.services.accept import accept_jobs
from jobs.services.pools import Member, change_pool
from jobs.services.report import report_jobs
from jobs.services.serving import facts_changed
from jobs.states import JobState
from tests.conftest import registered
from tests.support.long import first_of
from tests.support.pools import pool_of
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db

NAMES = ("alpha", "beta", "gamma")
AGENT = "agent-1"


@dataclass(kw_only=True)
class Fleet:
    members: dict[str, Any]
    pool: Any
    now: datetime
    random: Random
    # Of the pool's clusters.
    names: Sequence[str] = NAMES

    def change_something(self) -> None:
        member = self.members[self.random.choice(NAMES)]
        change = self.random.choice([self._facts, self._bounds, self._pause, self._hold, self._give_back, self._pool])
        change(member)
        self.now += timedelta(seconds=self.random.choice([0, 20, 60]))

    def submit_some(self) -> None:
        home = self.random.choice([self.pool, self.pool, *self.members.values()])
        needs = self.random.choice([(), (), ("gpus>=4",), ("!cloud",), ("site=geneva", "nodes>=2")])
        submitted(
            home,
            self.random.randint(1, 2),
            now=self.now,
            nodes=self.random.randint(1, 20),
            tasks=self.random.choice([0, 0, 16, 100]),
            time_limit_seconds=self.random.choice([0, 60, 5_000]),
            priority=self.random.choice([0, 0, 5]),
            cores_per_task=self.random.choice([0, 0, 3]),
            needs=needs,
            **self.random.choice([{}, {}, self._wish()]) if home is self.pool else {},
            hold_if_unservable=True,
            labels=self.random.choice([{}, {"queue": "gpu"}]),
        )

    def offered(self, member: Any) -> set[int]:
        """What it is offered when it asks once more as it did last."""
        bounds = Bounds.read(Cluster.objects.get(id=member.cluster.id).last_bounds)
        note_visits(used=[], asked={member.cluster.id: bounds}, now=self.now)
        offers = request_jobs(caller=self._caller(member), bounds=bounds, shared=True, now=self.now)
        return {job.id for job in offers}

    def _caller(self, member: Any) -> Caller:
        return admit(Claim(value=member.secret), now=self.now)

    def _wish(self) -> dict[str, Any]:
        return {"clusters": tuple(self.names), "spill_after_seconds": 90}

    def _facts(self, member: Any) -> None:
        partition = Partition(
            name="batch",
            nodes=self.random.choice([0, 4, 12, 20]),
            cores_per_node=self.random.choice([0, 2, 64]),
            longest_seconds=self.random.choice([0, 100]),
        )
        values = self.random.choice([{}, {"gpus": 8}, {"gpus": 2, "site": "geneva"}, {"cloud": "true"}])
        facts = self.random.choice([Facts(), Facts(values=values, partitions=(partition,))])
        Cluster.objects.filter(id=member.cluster.id).update(facts=facts.said())
        facts_changed(cluster_ids=[member.cluster.id])

    def _bounds(self, member: Any) -> None:
        labels = self.random.choice([{}, {}, {"queue": "gpu"}])
        nodes, tasks = self.random.choice([0, 1, 6, 18]), self.random.choice([0, 0, 50])
        cores = self.random.choice([0, 0, 40])
        bounds = Bounds(max_nodes=nodes, max_tasks=tasks, max_cores=cores, labels=labels)
        note_visits(used=[], asked={member.cluster.id: bounds}, now=self.now)

    def _pause(self, member: Any) -> None:
        """One at a time, so that most of the fleet goes on."""
        if paused := Cluster.objects.filter(paused_at__isnull=False).first():
            resume_cluster(cluster_id=paused.id, by=None, now=self.now)
        else:
            place = self.random.choice([member, member, self.pool]).cluster
            pause_cluster(cluster_id=place.id, reason="maintenance", by=None, now=self.now)

    def _hold(self, member: Any) -> None:
        token = self.random.choice([member, self.pool]).submitter.credential_id
        if not let_go(cluster_id=member.cluster.id, credential_id=token, by=None, reason="", now=self.now):
            end = End(credential_id=token, at_once=True, reason="no such file")
            note_ends(cluster_id=member.cluster.id, ends=[end], hold_after=1, now=self.now)

    def _give_back(self, member: Any) -> None:
        ids = sorted(self.offered(member))[:3]
        if not ids:
            return
        taken = accept_jobs(caller=self._caller(member), job_ids=ids, agent=AGENT, now=self.now).accepted
        reports = [
            Report(job_id=one.job_id, attempt=one.attempt, state=JobState.CANCELLED, returned=why)
            for one, why in zip(taken, [Return.REFUSED, Return.NOT_STARTED, Return.NOT_STARTED], strict=False)
        ]
        report_jobs(caller=self._caller(member), agent=AGENT, reports=reports, now=self.now)

    def _pool(self, _member: Any) -> None:
        names = self.names = self.random.sample(NAMES, self.random.randint(1, 3))
        members = [Member(cluster=name, after_seconds=self.random.choice([0, 0, 90])) for name in names]
        change_pool(pool_id=self.pool.cluster.id, members=members, by=None, now=self.now)


@pytest.mark.parametrize("queues", [100, 3], ids=["queues by need", "mixed queues"])
@pytest.mark.parametrize("seed", first_of((1, 2, 3, 5, 6), 2))
def test_a_cluster_is_offered_exactly_the_jobs_that_it_would_take(
    now: datetime, monkeypatch: pytest.MonkeyPatch, seed: int, queues: int
) -> None:
    monkeypatch.setattr(placing, "MOST_OF_CREDENTIAL", queues)
    members = {name: registered(name, now) for name in NAMES}
    fleet = Fleet(members=members, pool=pool_of(*NAMES, now=now), now=now, random=Random(seed))
    outlooks = set()
    for _ in range(10):
        fleet.submit_some()
        for _ in range(3):
            fleet.change_something()
        outlooks |= check(fleet)
    assert len(outlooks) >= 3
    assert Outlook.WOULD_TAKE in outlooks


def check(fleet: Fleet) -> set[Outlook]:
    offered = {name: fleet.offered(member) for name, member in fleet.members.items()}
    outlooks = set()
    for job in Job.objects.filter(state=JobState.QUEUED):
        wait = explain_wait(job=job, now=fleet.now)
        assert wait
        outlooks |= {prospect.outlook for prospect in wait.prospects}
        told = {prospect.cluster: prospect for prospect in wait.prospects}
        for name, ids in offered.items():
            takes = name in told and told[name].outlook == Outlook.WOULD_TAKE
            assert takes == (job.id in ids), (job.id, name, told.get(name))
    return outlooks
