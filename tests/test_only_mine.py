"""A person's own agent, with a personal token, takes and reports the person's jobs alone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Caller, Operator
from clusters.models import Cluster
from clusters.services.of_people import READS_ONLY
from jobs.agents import names_of
from jobs.models import Job, JobActivity
from jobs.queries.queue import request_jobs
from jobs.reports import Report, ReportOutcome
from jobs.services.accept import RefusalReason, accept_jobs
from jobs.services.expire import expire_leases
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.states import JobState
from rainbow.errors import InvalidArgument, PermissionDenied, Unauthenticated
from tests.support.members import caller_with, personal_token, project_of, submitted_by
from tests.support.queue import operator_named, submitted

MINUTE = timedelta(minutes=1)
Own = Callable[..., Caller]


@pytest.fixture(autouse=True)
def chem(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> Any:
    return project_of(alice, bob, now=now)


@pytest.fixture
def own(now: datetime) -> Own:
    def make(who: Operator, *, project: str = "", **wish: Any) -> Caller:
        value = personal_token(who, project=project, now=now, label=f"agent {wish}", **wish)
        return caller_with(value, cluster="alpha", now=now)

    return make


def offered(caller: Caller, now: datetime, **asked: Any) -> list[int]:
    return [job.id for job in request_jobs(caller=caller, now=now, **asked)]


def taken(caller: Caller, ids: list[int], now: datetime, agent: str = "laptop") -> list[int]:
    name = f"{names_of(caller)}{agent}" if caller.person_id else agent
    return [one.job_id for one in accept_jobs(caller=caller, job_ids=ids, agent=name, now=now).accepted]


def reported(caller: Caller, job_id: int, now: datetime, *, agent: str = "laptop", **more: Any) -> ReportOutcome:
    name = f"{names_of(caller)}{agent}" if caller.person_id else agent
    report = Report(**{"job_id": job_id, "attempt": 1, "state": JobState.RUNNING, **more})
    return report_jobs(caller=caller, agent=name, reports=[report], now=now)[0].outcome


def test_each_is_offered_their_own_jobs_in_the_order_of_the_queue(
    alpha: Any, alice: Operator, bob: Operator, own: Own, now: datetime
) -> None:
    first, second = submitted_by(alice, 2, now=now)
    (urgent,) = submitted_by(alice, priority=5, now=now)
    (bobs,) = submitted_by(bob, now=now)
    (tokens,) = submitted(alpha, now=now)

    caller = own(alice)
    for shared in (False, True):
        assert offered(caller, now, shared=shared) == [urgent, first, second]
    assert offered(own(bob), now) == [bobs]
    assert offered(alpha.puller, now) == [urgent, first, second, bobs, tokens]
    assert offered(caller, now, limit=1) == [urgent]
    Cluster.objects.update(paused_at=now, paused_reason="repairs")
    assert offered(own(alice, days=5), now) == []


def test_no_other_job_can_be_accepted_and_none_is_told_of(
    alpha: Any, alice: Operator, bob: Operator, own: Own, now: datetime
) -> None:
    (mine,) = submitted_by(alice, now=now)
    others = [*submitted_by(bob, now=now), *submitted(alpha, now=now), 99_999]
    caller = own(alice)

    answer = accept_jobs(caller=caller, job_ids=[*others, mine], agent="~alice/laptop", now=now)

    assert [one.job_id for one in answer.accepted] == [mine]
    assert {one.job_id: one.reason for one in answer.refused} == dict.fromkeys(others, RefusalReason.NOT_FOUND)
    assert taken(caller, [mine], now) == [mine]
    assert not Job.objects.filter(id__in=others).exclude(state=JobState.QUEUED).exists()


def test_jobs_of_others_and_of_the_clusters_agent_cannot_be_reported(
    alpha: Any, alice: Operator, bob: Operator, own: Own, now: datetime
) -> None:
    mine, theirs = submitted_by(alice, 2, now=now)
    (bobs,) = submitted_by(bob, now=now)
    caller, other = own(alice), own(bob)
    assert taken(caller, [mine], now) == [mine]
    assert taken(other, [bobs], now) == [bobs]
    assert taken(alpha.puller, [theirs], now) == [theirs]

    refused = [
        reported(caller, bobs, now), reported(caller, theirs, now), reported(other, mine, now),
        reported(alpha.puller, mine, now), reported(alpha.puller, bobs, now),
    ]  # fmt: skip

    assert refused == [ReportOutcome.UNKNOWN] * 5
    assert set(Job.objects.values_list("state", flat=True)) == {JobState.ACCEPTED}
    assert [reported(caller, mine, now), reported(other, bobs, now), reported(alpha.puller, theirs, now)] == [
        ReportOutcome.COUNTED
    ] * 3


def test_names_of_agents_say_whose_they_are(alpha: Any, alice: Operator, own: Own, now: datetime) -> None:
    (job_id,) = submitted_by(alice, now=now)
    caller = own(alice)
    for by, agent in ((caller, ""), (caller, "laptop"), (caller, "~bob/laptop"), (alpha.puller, "~alice/laptop")):
        with pytest.raises(InvalidArgument) as refused:
            accept_jobs(caller=by, job_ids=[job_id], agent=agent, now=now)
        assert refused.value.field == "agent"
        if agent:
            with pytest.raises(InvalidArgument):
                report_jobs(caller=by, agent=agent, reports=[], now=now)


def test_it_says_nothing_of_the_cluster(alpha: Any, alice: Operator, own: Own, now: datetime) -> None:
    Cluster.objects.filter(id=alpha.cluster.id).update(not_ready="no nodes")
    before = Cluster.objects.values().get(id=alpha.cluster.id)
    (job_id,) = submitted_by(alice, now=now)
    caller = own(alice)
    taken(caller, [job_id], now)

    for said in ({"not_ready": "broken"}, {"pause": "mine now"}):
        with pytest.raises(InvalidArgument):
            report_jobs(caller=caller, agent="~alice/laptop", reports=[], **said, now=now)  # type: ignore[arg-type]
    reported(caller, job_id, now, state=JobState.FAILED, native_id="1", exit_code=1, started_at=now)

    assert Cluster.objects.values().get(id=alpha.cluster.id) == before
    assert JobActivity.objects.filter(what="failed").exists()


def test_a_token_that_may_only_read_or_reaches_no_cluster_runs_no_agent(
    alpha: Any, beta: Any, alice: Operator, now: datetime
) -> None:
    reading = personal_token(alice, reads_only=True, now=now)
    with pytest.raises(PermissionDenied, match=READS_ONLY):
        caller_with(reading, cluster="alpha", now=now)
    with pytest.raises(Unauthenticated):
        caller_with(personal_token(alice, label="all", now=now), cluster="beta", now=now)
    with pytest.raises(InvalidArgument):
        offered(caller_with(personal_token(alice, label="none", now=now), now=now), now)


def test_a_narrowed_token_runs_the_jobs_of_its_project_alone(
    alpha: Any, alice: Operator, own: Own, now: datetime
) -> None:
    project_of(alice, name="bio", now=now)
    (of_chem,) = submitted_by(alice, project="chem", now=now)
    (of_bio,) = submitted_by(alice, project="bio", now=now)
    caller = own(alice, project="bio")

    assert offered(caller, now) == [of_bio]
    assert taken(caller, [of_chem, of_bio], now) == [of_bio]


def test_leases_and_requeues_work_as_usual(alpha: Any, alice: Operator, own: Own, now: datetime) -> None:
    (job_id,) = submitted_by(alice, now=now)
    caller = own(alice)
    taken(caller, [job_id], now)
    reported(caller, job_id, now, native_id="1")
    expire_leases(now=now)
    for minutes in range(5, 61, 5):
        expire_leases(now=now + minutes * MINUTE, present_since=now)
    assert Job.objects.get().state == JobState.LOST
    assert reported(caller, job_id, now + 70 * MINUTE) == ReportOutcome.COUNTED
    assert Job.objects.get().state == JobState.RUNNING

    Job.objects.update(state=JobState.LOST, lost_at=now, lease_expires_at=None, lease_seconds=None)
    requeue_jobs(by=operator_named("olga"), job_ids=[job_id], reason="again", now=now)
    assert taken(alpha.puller, [job_id], now) == [job_id]
    assert reported(caller, job_id, now) == ReportOutcome.STALE
    assert reported(caller, job_id, now, attempt=2) == ReportOutcome.UNKNOWN
    assert reported(alpha.puller, job_id, now, attempt=2) == ReportOutcome.COUNTED
