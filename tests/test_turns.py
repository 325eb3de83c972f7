"""Turns: a flood of one submitter delays the others by a few jobs."""

from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim
from clusters.models import CredentialKind
from clusters.services.authenticate import admit
from clusters.services.credentials import create_credential
from clusters.services.projects import Change, weigh_project
from clusters.services.turns import change_turns
from jobs.models import Job, Turn
from jobs.queries.queue import request_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.move import move_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.priority import change_priority
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from tests.support.members import person_named, project_of, submitted_by
from tests.support.pools import pool_of
from tests.support.queue import submitted

FLOOD = 100_000


@pytest.fixture
def fair(alpha: Any, now: datetime) -> Any:
    """A cluster whose submitters take turns."""
    change_turns(cluster_id=alpha.cluster.id, fair=True, by=None, now=now)
    return alpha


def other_token(member: Any, now: datetime) -> Caller:
    made = create_credential(cluster=member.cluster, kind=CredentialKind.TOKEN, label="other", by=None, now=now)
    return admit(Claim(value=made.value, cluster=member.name), now=now)


def submitted_with(caller: Caller, number: int, *, now: datetime, **spec: Any) -> list[int]:
    wanted = JobSpec(**{"command": "hostname", **spec})
    orders = [Order(by=caller, cluster_id=caller.cluster_id, spec=wanted) for _ in range(number)]
    receipts = submit_jobs(orders=orders, now=now)
    assert all(isinstance(receipt, Receipt) for receipt in receipts), receipts
    return [receipt.job_id for receipt in receipts if isinstance(receipt, Receipt)]


def accepted(member: Any, number: int, *, now: datetime, **bounds: int) -> list[int]:
    """So many jobs, one after the other, as agents take them."""
    taken: list[int] = []
    for _ in range(number):
        jobs = request_jobs(caller=member.puller, bounds=Bounds(**bounds), limit=1, shared=True, now=now)
        ids = [job.id for job in jobs]
        assert accept_jobs(caller=member.puller, job_ids=ids, agent="agent-1", now=now).accepted
        taken += ids
    return taken


def test_ten_jobs_start_within_the_next_twenty_accepts_behind_a_flood(fair: Any, now: datetime) -> None:
    submitted(fair, FLOOD, now=now)
    accepted(fair, 50, now=now)
    few = submitted_with(other_token(fair, now), 10, now=now)

    assert set(few) <= set(accepted(fair, 20, now=now))


def test_the_flood_has_all_that_the_others_leave(fair: Any, now: datetime) -> None:
    flood = submitted(fair, 30, now=now)
    submitted_with(other_token(fair, now), 3, now=now)

    assert set(flood) <= set(accepted(fair, 33, now=now))


def test_who_was_idle_has_no_credit_for_it(fair: Any, now: datetime) -> None:
    other = other_token(fair, now)
    submitted_with(other, 1, now=now)
    submitted(fair, 100, now=now)
    accepted(fair, 51, now=now)

    few = submitted_with(other, 20, now=now)

    assert len(set(few) & set(accepted(fair, 20, now=now))) in (9, 10, 11)


def test_a_person_of_two_projects_takes_turns_as_one(fair: Any, now: datetime) -> None:
    ada, noor = person_named("ada"), person_named("noor")
    project_of(ada, noor, name="chem", now=now)
    project_of(ada, name="bio", now=now)
    submitted_by(ada, 20, project="chem", now=now)
    submitted_by(ada, 20, project="bio", now=now)
    few = submitted_by(noor, 5, project="chem", now=now)

    assert set(few) <= set(accepted(fair, 10, now=now))


def test_a_project_of_three_times_the_weight_has_three_times_the_nodes(fair: Any, now: datetime) -> None:
    ada, noor = person_named("ada"), person_named("noor")
    heavy = project_of(ada, name="heavy", now=now)
    project_of(noor, name="light", now=now)
    weigh_project(project_id=heavy.id, weight=3, change=Change(by=None, now=now))
    of_heavy = submitted_by(ada, 60, now=now)
    submitted_by(noor, 60, now=now)

    taken = accepted(fair, 40, now=now)

    assert len(set(taken) & set(of_heavy)) in (29, 30, 31)


def test_a_job_costs_its_nodes(fair: Any, now: datetime) -> None:
    large = submitted(fair, 10, now=now, nodes=4)
    small = submitted_with(other_token(fair, now), 40, now=now)

    taken = accepted(fair, 25, now=now)

    assert len(set(taken) & set(large)) in (4, 5, 6)
    assert len(set(taken) & set(small)) in (19, 20, 21)


def test_a_high_priority_brings_no_other_job_of_its_submitter_forward(fair: Any, now: datetime) -> None:
    submitted(fair, 300, now=now)
    submitted(fair, 300, now=now, priority=9)
    accepted(fair, 300, now=now)
    few = submitted_with(other_token(fair, now), 10, now=now)

    assert set(few) <= set(accepted(fair, 20, now=now))


def test_queues_that_are_drained_at_different_speeds_delay_no_newcomer(fair: Any, now: datetime) -> None:
    submitted(fair, 300, now=now)
    submitted(fair, 300, now=now, nodes=16)
    accepted(fair, 300, now=now, max_nodes=1)
    few = submitted_with(other_token(fair, now), 10, now=now, nodes=16)

    assert set(few) <= set(accepted(fair, 20, now=now))


def test_what_was_cancelled_keeps_no_later_job_waiting(fair: Any, now: datetime) -> None:
    mistake = submitted(fair, 500, now=now)
    others = other_token(fair, now)
    submitted_with(others, 100, now=now)
    accepted(fair, 20, now=now)
    cancel_jobs(by=fair.submitter, job_ids=mistake, now=now)

    few = submitted(fair, 5, now=now)

    assert set(few) <= set(accepted(fair, 30, now=now))


def test_a_repeated_submission_takes_no_turn(fair: Any, now: datetime) -> None:
    for _ in range(20):
        submitted(fair, now=now, idempotency_key="once")
    submitted_with(other_token(fair, now), 10, now=now)
    (second,) = submitted(fair, now=now)

    assert second in accepted(fair, 4, now=now)


def test_jobs_that_wait_go_first_when_turns_begin_and_last_come_last_when_they_end(alpha: Any, now: datetime) -> None:
    before = submitted(alpha, 5, now=now)
    change_turns(cluster_id=alpha.cluster.id, fair=True, by=None, now=now)
    during = submitted(alpha, 5, now=now)
    change_turns(cluster_id=alpha.cluster.id, fair=False, by=None, now=now)
    after = submitted_with(other_token(alpha, now), 3, now=now) + submitted(alpha, 3, now=now)

    assert accepted(alpha, 16, now=now) == before + during + after


def test_a_moved_job_and_one_of_another_priority_take_a_turn_there(fair: Any, beta: Any, now: datetime) -> None:
    operator = person_named("operator")
    flood = submitted(fair, 100, now=now)
    (moved,) = submitted(beta, now=now)
    common = {"by": operator, "reason": "a test", "now": now}
    change_priority(job_ids=flood[-1:], priority=5, **common)
    move_jobs(job_ids=[moved], cluster_id=fair.cluster.id, **common)

    assert Job.objects.get(id=moved).turn == 1_000
    assert Job.objects.get(id=flood[-1]).turn == 1_000
    assert moved in accepted(fair, 4, now=now)


def test_between_a_cluster_and_its_pools_the_older_next_job_goes_first(fair: Any, now: datetime) -> None:
    pool = pool_of("alpha", now=now)
    first = submitted(fair, 3, now=now)
    second = submitted(pool, 3, now=now)
    third = submitted(fair, 1, now=now)

    assert accepted(fair, 7, now=now) == first + second + third


def test_where_jobs_go_by_age_there_are_no_turns(alpha: Any, now: datetime) -> None:
    submitted(alpha, 3, now=now)
    accepted(alpha, 3, now=now)

    assert not Turn.objects.exists()


def test_the_command_begins_and_ends_turns(alpha: Any, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("turns", "begin", "alpha")
    call_command("turns", "begin", "alpha")
    call_command("turns", "list")

    first, second, *table = capsys.readouterr().out.splitlines()
    assert (first, second) == ("Jobs in alpha go by turns now.", "Jobs in alpha go by turns, as before.")
    assert table[1].split() == ["alpha", "turns"]
