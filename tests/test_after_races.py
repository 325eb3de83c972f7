"""The end of a job and those that wait for it, at the same time; servers that are killed between the batches."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from django.db import connection

from jobs.models import EndedParent, Job, JobDependency, JobEvent
from jobs.reports import Report
from jobs.services import dependents
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.dependents import settle_ended_parents
from jobs.services.orders import Order, Receipt
from jobs.services.prune import prune_handed_over, prune_jobs
from jobs.services.report import report_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.sql.old_jobs import without_parents
from jobs.states import JobState, What
from rainbow.errors import RainbowError
from rainbow.protos import rainbow_pb2 as pb
from tests.support.lives import handed_over, replay
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.queue import counted, recounted, submitted
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer, manage_with
from tests.support.turns import race
from tests.support.wire import ids_of, joined, spec

transactional = pytest.mark.django_db(transaction=True)


def accepted(member: Any, now: datetime, number: int = 1) -> list[int]:
    job_ids = submitted(member, number, now=now)
    accept_jobs(caller=member.puller, job_ids=job_ids, agent="agent-1", now=now)
    return job_ids


def ending(member: Any, job_id: int, state: JobState, now: datetime) -> Callable[[], object]:
    reports = [Report(job_id=job_id, attempt=1, state=state)]
    return lambda: report_jobs(caller=member.puller, agent="agent-1", reports=reports, now=now)


def submitting(member: Any, term: str, now: datetime, **said: Any) -> Callable[[], int]:
    order = Order(
        by=member.submitter, cluster_id=member.cluster.id, spec=JobSpec(command="true", after=(term,), **said)
    )

    def submit() -> int:
        (receipt,) = submit_jobs(orders=[order], now=now)
        assert isinstance(receipt, Receipt)
        return receipt.job_id

    return submit


def state_of(job_id: int) -> str:
    state = Job.objects.get(id=job_id).state
    assert replay(job_id)[0] == state
    return state


@transactional
@pytest.mark.parametrize(("state", "then"), [(JobState.COMPLETED, "queued"), (JobState.FAILED, "cancelled")])
@pytest.mark.parametrize("submission_first", [True, False])
def test_a_submission_and_the_end_of_what_it_waits_for(
    alpha: Any, now: datetime, state: JobState, then: str, submission_first: bool
) -> None:
    (parent,) = accepted(alpha, now)
    submit, end = submitting(alpha, str(parent), now), ending(alpha, parent, state, now)

    met = race(submit, end) if submission_first else race(end, submit)

    assert met.waited
    assert state_of(met.first if submission_first else met.second) == then
    assert not JobDependency.objects.exists()
    assert counted() == recounted()


@transactional
def test_a_job_that_is_cancelled_while_what_it_waits_for_ends(alpha: Any, now: datetime) -> None:
    for cancel_first in (True, False):
        (parent,) = accepted(alpha, now)
        child = submitting(alpha, str(parent), now)()
        end = ending(alpha, parent, JobState.COMPLETED, now)

        def cancel(job_id: int = child) -> object:
            return cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)

        # Ends wait for none of those that wait for them.
        waits = not cancel_first or connection.vendor == "sqlite"

        met = race(cancel, end, waits=waits) if cancel_first else race(end, cancel)
        while settle_ended_parents(now=now):
            pass

        assert met.waited == waits
        assert state_of(child) == "cancelled"
        assert not EndedParent.objects.exists()
    assert counted() == recounted()


@transactional
def test_two_servers_settle_the_same_parent_once(alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependents, "AT_ONCE", 0)
    monkeypatch.setattr(dependents, "BATCH", 10)
    parents = accepted(alpha, now, 2)
    children = [submitting(alpha, f"any:{parent}", now)() for parent in parents for _ in range(25)]
    for parent in parents:
        ending(alpha, parent, JobState.FAILED, now)()

    def settle() -> int:
        return settle_ended_parents(now=now)

    settled = 0
    while EndedParent.objects.exists():
        met = race(settle, settle)
        settled += met.first + met.second

    assert settled == 50
    assert {state_of(job_id) for job_id in children} == {"queued"}
    assert JobEvent.objects.filter(what=What.RELEASED).count() == 50
    assert counted() == recounted()


@transactional
def test_ends_and_submissions_at_random_leave_none_behind(alpha: Any, now: datetime) -> None:
    chance = random.Random(1)
    parents = accepted(alpha, now, 12)
    states = {parent: chance.choice([JobState.COMPLETED, JobState.FAILED]) for parent in parents}
    work: list[Callable[[], object]] = [ending(alpha, parent, state, now) for parent, state in states.items()]
    terms = {}
    for place in range(60):
        named = chance.sample(parents, 3)
        key = f"k{place}"
        terms[key] = tuple(f"{chance.choice(['ok', 'any', 'failed'])}:{parent}" for parent in named)
        job = JobSpec(command="true", after=terms[key], idempotency_key=key)
        order = Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=job)
        work.append(lambda order=order: submit_jobs(orders=[order], now=now))  # type: ignore[misc]
    chance.shuffle(work)

    def attended(one: Callable[[], object]) -> None:
        try:
            one()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(attended, work))
    while settle_ended_parents(now=now):
        pass

    for key, its in terms.items():
        met = all(wants == "any" or (wants == "ok") == (states[int(parent)] == JobState.COMPLETED)
                  for wants, parent in (term.split(":") for term in its))  # fmt: skip
        assert state_of(Job.objects.get(idempotency_key=key).id) == ("queued" if met else "cancelled")
    assert not JobDependency.objects.exists()
    assert not EndedParent.objects.exists()
    assert counted() == recounted()


# More than are settled by three batches.
CHILDREN = 3 * dependents.BATCH + 1_000
KILLED_BEFORE_THE_THIRD_BATCH = """
import os, signal
from grpc_api.runtime import releases

batches, settle = [], releases.settle_ended_parents

def killed_before_the_third(**options):
    batches.append(options)
    if len(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return settle(**options)

releases.settle_ended_parents = killed_before_the_third
"""


def test_servers_that_are_killed_between_batches_release_each_job_once(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server(manage=manage_with(KILLED_BEFORE_THE_THIRD_BATCH))
    with joined(server) as cluster:
        parent = cluster.submit().jobid
        children = ids_of(cluster.submit_many(*[spec(after=[str(parent)])] * CHILDREN))
        cluster.accept(parent, agent="a")
        report = pb.JobReport(jobid=parent, attempt=1, state=pb.JOB_STATE_COMPLETED)
        request = pb.ReportJobsRequest(cluster=cluster.name, agent="a", reports=[report])
        # The server may be killed before it has answered.
        with suppress(grpc.RpcError):
            cluster.stub.ReportJobs(request, metadata=cluster.by_secret, timeout=PATIENCE_SECONDS)
        server.process.wait(PATIENCE_SECONDS)
    url, queued = server.database_url, "jobs_job WHERE state = 'queued'"
    killed_at = count(url, queued)[0]

    start_server(database_url=url)
    wait_until(lambda: count(url, queued, "jobs_endedparent") == (CHILDREN, 0))

    assert dependents.AT_ONCE < killed_at < CHILDREN
    released = execute(url, "SELECT job_id FROM jobs_jobevent WHERE what = 'released' ORDER BY job_id")
    assert [row[0] for row in released] == children


@transactional
def test_a_job_that_was_handed_over_is_not_deleted_while_its_end_is_noted(alpha: Any, now: datetime) -> None:
    """By a server, while `manage.py prune` deletes the job that waits for it, and then it."""
    before, parent = now + timedelta(days=1), handed_over(alpha, now=now)
    child = submitting(alpha, f"any:{parent}", now)()
    cancel_jobs(by=alpha.submitter, job_ids=[child], now=now)

    met = race(lambda: prune_handed_over(before=before, limit=10), lambda: prune_jobs(before=before))

    assert met.first == 0
    assert met.second + prune_handed_over(before=before, limit=10) == 2
    assert not Job.objects.filter(id=parent).exists()
    assert not EndedParent.objects.exists()


@transactional
@pytest.mark.parametrize("submission_first", [True, False])
def test_a_submission_that_waits_for_a_job_that_is_pruned(alpha: Any, now: datetime, submission_first: bool) -> None:
    before, parent = now + timedelta(days=1), handed_over(alpha, now=now)
    order = Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=JobSpec(command="a", after=(f"any:{parent}",)))

    def submit() -> Receipt | RainbowError:
        return submit_jobs(orders=[order], now=now)[0]

    def prune() -> int:
        return prune_handed_over(before=before, limit=10)

    met = race(submit, prune) if submission_first else race(prune, submit)

    receipt, pruned = (met.first, met.second) if submission_first else (met.second, met.first)
    assert (pruned, isinstance(receipt, Receipt)) == ((0, True) if submission_first else (1, False))
    assert Job.objects.filter(id=parent).exists() == submission_first


@transactional
def test_a_job_that_others_began_to_wait_for_is_not_among_those_that_are_pruned(alpha: Any, now: datetime) -> None:
    parent, other = handed_over(alpha, now=now), handed_over(alpha, now=now)
    submitting(alpha, f"any:{parent}", now)()
    rows = list(Job.objects.filter(id__in=[parent, other]).order_by("id").values_list("id", "cluster_id"))

    kept = [job_id for job_id, _ in without_parents(rows)]

    assert kept == ([other] if connection.vendor == "postgresql" else [parent, other])
