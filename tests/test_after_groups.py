"""Jobs that wait for groups."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.models import EndedGroup, GroupDependency, Job
from jobs.queries.explain import explain_wait
from jobs.queries.queue import request_jobs
from jobs.reports import Report
from jobs.services import dependents
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.dependents import settle_ended_parents
from jobs.services.group_steps import step_group
from jobs.services.groups import GroupWish
from jobs.services.orders import Order, Receipt
from jobs.services.prune import prune_ended, prune_groups
from jobs.services.report import report_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState
from rainbow.errors import InvalidArgument, RainbowError
from tests.support.queue import counted, recounted

OK, FAILED, CANCELLED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


def new_group(member: Any, members: int, now: datetime, **wish: Any) -> tuple[int, list[int]]:
    by = member.submitter
    orders = [Order(by=by, cluster_id=by.cluster_id, spec=JobSpec(command="true")) for _ in range(members)]
    receipts = submit_jobs(orders=orders, group=GroupWish(by=by, **wish), now=now)
    ids = [receipt.job_id for receipt in receipts if isinstance(receipt, Receipt)]
    return Job.objects.get(id=ids[0]).group, ids


def outcome(member: Any, now: datetime, *terms: str, **said: Any) -> Receipt | RainbowError:
    spec = JobSpec(command="true", after=terms, **said)
    (result,) = submit_jobs(orders=[Order(by=member.submitter, cluster_id=member.cluster.id, spec=spec)], now=now)
    return result


def waiting_for(member: Any, now: datetime, *terms: str) -> int:
    receipt = outcome(member, now, *terms)
    assert isinstance(receipt, Receipt), receipt
    return receipt.job_id


def end(member: Any, ids: list[int], state: JobState, now: datetime) -> None:
    if state == CANCELLED:
        cancel_jobs(by=member.submitter, job_ids=ids, now=now)
        return
    accept_jobs(caller=member.puller, job_ids=ids, agent="a", now=now)
    reports = [Report(job_id=id, attempt=1, state=state) for id in ids]
    report_jobs(caller=member.puller, agent="a", reports=reports, now=now)


def state_of(job_id: int) -> str:
    return Job.objects.get(id=job_id).state


@pytest.mark.parametrize(
    ("wants", "last", "then"),
    [
        ("", OK, "queued"),
        ("ok:", FAILED, "cancelled"),
        ("ok:", CANCELLED, "cancelled"),
        ("failed:", FAILED, "queued"),
        ("failed:", OK, "cancelled"),
        ("failed:", CANCELLED, "cancelled"),
        ("any:", CANCELLED, "queued"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_of_a_group_releases_or_cancels_what_waits_for_it(
    alpha: Any, now: datetime, wants: str, last: JobState, then: str, when: str
) -> None:
    group, members = new_group(alpha, 3, now)
    end(alpha, members[:2], OK, now)
    step_group(group_id=group, now=now)
    if when == "before":
        end(alpha, members[2:], last, now)
        step_group(group_id=group, now=now)

    child = waiting_for(alpha, now, f"{wants}group:{group}")

    if when == "after":
        assert state_of(child) == "blocked"
        end(alpha, members[2:], last, now)
        step_group(group_id=group, now=now)
    assert state_of(child) == then
    assert not GroupDependency.objects.exists()
    assert not EndedGroup.objects.exists()
    assert counted() == recounted()


def test_the_reason_names_the_group(alpha: Any, now: datetime) -> None:
    group, members = new_group(alpha, 2, now)
    child = waiting_for(alpha, now, f"group:{group}")

    end(alpha, members, FAILED, now)
    step_group(group_id=group, now=now)

    assert (
        Job.objects.get(id=child).reason
        == f"group {group} ended without completing; this job was to run once that had completed"
    )


def test_a_job_waits_for_jobs_and_groups(alpha: Any, now: datetime) -> None:
    group, members = new_group(alpha, 2, now)
    child = waiting_for(alpha, now, f"group:{group}", f"any:{members[0]}")
    told = explain_wait(by=alpha.submitter, job=Job.objects.get(id=child), now=now)

    end(alpha, members, OK, now)
    between = state_of(child)
    step_group(group_id=group, now=now)

    assert told
    assert told.found == f"waits for job {members[0]} to end (queued) and group {group} to complete (0 of 2 over)"
    assert (between, state_of(child)) == ("blocked", "queued")


def test_unknown_foreign_and_open_groups_are_refused(alpha: Any, mallory: Any, now: datetime) -> None:
    group, _ = new_group(alpha, 1, now)
    growing, _ = new_group(mallory, 1, now, more=True)

    answers = [outcome(mallory, now, f"group:{id}") for id in (group, 2_000_000_000, growing)]

    assert all(isinstance(answer, InvalidArgument) and answer.field == "after" for answer in answers)
    assert [str(answer).partition("group")[2] for answer in answers[:2]] == [f": {group}", ": 2000000000"]
    assert "must be closed first" in str(answers[2])


def test_many_are_released_in_batches(alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependents, "AT_ONCE", 5)
    monkeypatch.setattr(dependents, "BATCH", 10)
    group, members = new_group(alpha, 1, now)
    children = [waiting_for(alpha, now, f"group:{group}") for _ in range(22)]
    end(alpha, members, OK, now)
    step_group(group_id=group, now=now)

    released = [Job.objects.filter(id__in=children, state="queued").count()]
    while number := settle_ended_parents(now=now):
        released.append(number)

    assert released == [5, 10, 7]
    assert [one.id for one in request_jobs(caller=alpha.puller, now=now)] == children
    assert not EndedGroup.objects.exists()


def test_a_group_is_kept_until_those_that_wait_for_it_know(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependents, "AT_ONCE", 0)
    group, members = new_group(alpha, 1, now)
    child = waiting_for(alpha, now, f"group:{group}")
    end(alpha, members, OK, now)
    step_group(group_id=group, now=now)
    prune_ended(before=now + DAY, limit=10)

    early = prune_groups(before=now + DAY, limit=10)
    settle_ended_parents(now=now)
    late = prune_groups(before=now + DAY, limit=10)

    assert (early, late, state_of(child)) == (0, 1, "queued")
