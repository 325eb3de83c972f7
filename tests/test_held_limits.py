"""Limits on what clusters hold at once: they only delay, exactly, and are told."""

from datetime import datetime
from typing import Any

import pytest

from clusters.callers import Operator
from clusters.models import Allowance
from clusters.services.limits import limit_person, limit_project
from clusters.services.projects import Change
from jobs import events, remembered
from jobs.models import Job
from jobs.queries.checks.allowances import wrong_allowances
from jobs.queries.explain import explain_wait
from jobs.queries.news import news_since
from jobs.queries.queue import request_jobs
from jobs.reports import Report
from jobs.room import forget_limits
from jobs.services.accept import Acceptance, RefusalReason, accept_jobs, accept_jobs_batch
from jobs.services.report import report_jobs
from jobs.services.take import Taking
from jobs.states import JobState
from tests.support.lives import AGENT
from tests.support.members import project_of, submitted_by
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db


def limited(who: Operator, now: datetime, **wanted: int | None) -> None:
    limit_person(person=who.name, wanted=wanted, change=Change(by=None, now=now))
    forget_limits()


def accepting(member: Any, *job_ids: int, now: datetime) -> Acceptance:
    return accept_jobs(caller=member.puller, job_ids=job_ids, agent=AGENT, now=now)


def accepted(member: Any, *job_ids: int, now: datetime) -> list[int]:
    return [one.job_id for one in accepting(member, *job_ids, now=now).accepted]


def offered(member: Any, now: datetime, **request: Any) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, shared=True, now=now, **request)]


def ended(member: Any, job_id: int, now: datetime) -> None:
    report_end(member, job_id, now)
    forget_limits()


def report_end(member: Any, job_id: int, now: datetime) -> None:
    report = Report(job_id=job_id, attempt=1, state=JobState.COMPLETED)
    report_jobs(caller=member.puller, agent=AGENT, reports=[report], now=now)


def test_of_an_accept_as_many_are_taken_as_there_is_room_for(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, held=2)
    first, second, third = submitted_by(alice, 3, now=now)
    (of_the_cluster,) = submitted(alpha, now=now)

    outcome = accepting(alpha, third, first, second, of_the_cluster, now=now)

    assert [one.job_id for one in outcome.accepted] == [third, first, of_the_cluster]
    (refused,) = outcome.refused
    assert (refused.job_id, refused.reason) == (second, RefusalReason.NOT_QUEUED)
    assert refused.message == "person alice holds 2 of the 2 jobs that it may"
    assert Job.objects.get(id=second).state == JobState.QUEUED
    assert wrong_allowances() == []


def test_a_limit_of_a_project_is_shared_by_its_members_and_by_all_calls_of_a_batch(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project = project_of(alice, bob, now=now)
    limit_project(project_id=project.id, wanted={"held": 3}, change=Change(by=None, now=now))
    forget_limits()
    jobs = [*submitted_by(alice, 2, now=now), *submitted_by(bob, 2, now=now)]
    takings = [Taking(caller=alpha.puller, job_ids=[job_id], agent=AGENT) for job_id in jobs]

    outcomes = accept_jobs_batch(takings=takings, now=now)

    assert [len(one.accepted) for one in outcomes if isinstance(one, Acceptance)] == [1, 1, 1, 0]
    assert Allowance.objects.get(kind="project").held == 3


def test_what_another_cluster_names_uses_no_room(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, held=1)
    first, second = submitted_by(alice, 2, now=now)
    of_others = Taking(caller=beta.puller, job_ids=[first], agent=AGENT)
    own = Taking(caller=alpha.puller, job_ids=[second], agent=AGENT)

    _, outcome = accept_jobs_batch(takings=[of_others, own], now=now)

    assert isinstance(outcome, Acceptance) and [one.job_id for one in outcome.accepted] == [second]


def test_nodes_are_limited_by_their_number(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, held_nodes=8)
    (large,), (larger,), (small,) = (submitted_by(alice, nodes=nodes, now=now) for nodes in (6, 7, 2))

    assert offered(alpha, now) == [large, larger, small]
    assert accepted(alpha, large, larger, small, now=now) == [large, small]
    assert offered(alpha, now) == []


def test_the_default_of_the_settings_limits_all(alpha: Any, alice: Operator, now: datetime, settings: Any) -> None:
    settings.RAINBOW_PERSON_HELD = 1
    forget_limits()
    project_of(alice, now=now)

    assert len(accepted(alpha, *submitted_by(alice, 3, now=now), now=now)) == 1

    limited(alice, now, held=0)
    assert len(accepted(alpha, *submitted_by(alice, 3, now=now), now=now)) == 3


def test_a_repeated_accept_gets_its_first_answer_at_the_limit(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, held=1)
    first, second = submitted_by(alice, 2, now=now)

    assert accepted(alpha, first, second, now=now) == [first]
    assert accepted(alpha, first, second, now=now) == [first]


def test_a_job_that_ends_makes_room(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    limited(alice, now, held=1)
    first, second = submitted_by(alice, 2, now=now)
    accepting(alpha, first, now=now)
    assert offered(alpha, now) == []

    ended(alpha, first, now)

    assert offered(alpha, now) == [second]
    assert accepted(alpha, second, now=now) == [second]


def test_who_is_full_hides_no_jobs_of_others(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> None:
    project_of(alice, bob, now=now)
    limited(alice, now, held=1)
    flood = submitted_by(alice, 400, now=now)
    accepting(alpha, flood[0], now=now)
    of_bob = submitted_by(bob, 2, now=now)

    assert offered(alpha, now, limit=1) == of_bob[:1]
    assert offered(alpha, now) == of_bob


def test_why_a_job_of_who_is_full_waits(alpha: Any, alice: Operator, now: datetime) -> None:
    project = project_of(alice, now=now)
    limit_project(project_id=project.id, wanted={"held": 1, "held_nodes": 3}, change=Change(by=None, now=now))
    forget_limits()
    first, second = submitted_by(alice, 2, nodes=2, now=now)
    accepting(alpha, first, now=now)

    assert why(second, now) == "project chem holds 1 of the 1 jobs that it may"

    limit_project(project_id=project.id, wanted={"held": None}, change=Change(by=None, now=now))
    assert why(second, now) == "project chem holds 2 of the 3 nodes that it may, and the job wants 2"


def why(job_id: int, now: datetime) -> str:
    explanation = explain_wait(job=Job.objects.get(id=job_id), now=now)
    assert explanation
    return explanation.found


def test_without_held_limits_requests_and_accepts_run_no_further_statements(
    alpha: Any, alice: Operator, now: datetime, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_FRESH_SECONDS", 3600)
    project_of(alice, now=now)
    first, *_ = submitted_by(alice, 3, now=now)
    with_memory = offered(alpha, now)
    assert accepted(alpha, first, now=now) == [first]

    with django_assert_num_queries(1):
        assert offered(alpha, now) == with_memory[1:]


def test_the_end_of_a_job_wakes_the_agents_of_its_cluster(
    alpha: Any, alice: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(events, "tell_after_commit", lambda *, cluster_ids, job_ids: told.extend(cluster_ids))
    project_of(alice, now=now)
    first, second = submitted_by(alice, 2, now=now)
    accepting(alpha, first, second, now=now)
    before = news_since(after=None)
    told.clear()
    ended(alpha, first, now)
    assert (told, news_since(after=before).clusters) == ([], frozenset())

    limited(alice, now, held=2)
    ended(alpha, second, now)

    assert (told, news_since(after=before).clusters) == ([alpha.cluster.id], {"alpha"})


def test_what_is_woken_finds_the_room_at_once(
    alpha: Any, alice: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_FRESH_SECONDS", 3600)
    project_of(alice, now=now)
    limited(alice, now, held=1)
    first, second = submitted_by(alice, 2, now=now)
    accepting(alpha, first, now=now)
    assert offered(alpha, now) == []
    report_end(alpha, first, now)
    assert offered(alpha, now) == []

    news_since(after=news_since(after=None))

    assert offered(alpha, now) == [second]
