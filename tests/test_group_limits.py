"""How many members of a group are under way at once, after how many failures it stops, and cancelling it."""

import random
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Operator
from jobs.models import Job, JobEvent, JobGroup, JobQuerySet
from jobs.queries.groups import counts_of
from jobs.reports import Report
from jobs.services import group_steps
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.cancel_group import cancel_group
from jobs.services.group_steps import BATCH, due_groups, step_group
from jobs.services.report import report_jobs
from jobs.services.retry import queue_due_retries
from jobs.states import JobState
from rainbow.errors import AlreadyExists, FailedPrecondition, NotFound
from tests.support.members import caller_with, personal_token, project_of, shares
from tests.support.queue import counted, recounted
from tests.test_groups import agreed, found, new_group, report, submitted

pytestmark = pytest.mark.django_db

UNDER_WAY = (JobState.QUEUED, JobState.ACCEPTED, JobState.RUNNING, JobState.LOST)


def settle(now: datetime) -> None:
    """What the servers' loop does."""
    for _ in range(100):
        due = due_groups(now=now)
        if not due:
            return
        for group in due:
            while step_group(group_id=group, now=now):
                pass
    raise AssertionError("the groups do not settle")


def under_way(group: int) -> list[int]:
    return list(Job.objects.filter(group=group, state__in=UNDER_WAY).order_by("id").values_list("id", flat=True))


def states(ids: list[int]) -> list[str]:
    return list(Job.objects.filter(id__in=ids).order_by("id").values_list("state", flat=True))


def test_so_many_members_are_under_way_at_once_in_their_order(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 5, now, at_once=2)
    assert states(ids) == ["blocked"] * 5

    settle(now)
    assert under_way(group) == ids[:2]
    accept_jobs(caller=alpha.puller, job_ids=ids[:2], agent="a", now=now)
    settle(now)
    assert under_way(group) == ids[:2]
    report(alpha.puller, ids[1:2], JobState.COMPLETED, now, exit_code=0)
    settle(now)

    assert under_way(group) == [ids[0], ids[2]]
    assert counted() == recounted()
    assert agreed()
    events = JobEvent.objects.filter(job_id=ids[2]).order_by("id")
    assert [(event.what, event.why) for event in events] == [("submitted", ""), ("released", "its turn in its group")]


def test_a_group_with_a_limit_comes_to_its_end(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 7, now, at_once=3)

    for _ in range(len(ids)):
        settle(now)
        if queued := under_way(group):
            accept_jobs(caller=alpha.puller, job_ids=queued[:1], agent="a", now=now)
            report(alpha.puller, queued[:1], JobState.COMPLETED, now, exit_code=0)
    settle(now)

    assert found(alpha.submitter, group).counts == {JobState.COMPLETED: 7}
    assert found(alpha.submitter, group).finished_at == now


def test_the_limit_holds_on_random_walks(alpha: Any, now: datetime) -> None:
    group, _ = new_group(alpha.submitter, 30, now, at_once=4)
    walk = random.Random(16)

    for _ in range(150):
        jobs = list(Job.objects.filter(group=group))
        one = walk.choice(jobs)
        if one.state == JobState.QUEUED:
            accept_jobs(caller=alpha.puller, job_ids=[one.id], agent="a", now=now)
        elif one.state == JobState.ACCEPTED:
            report(alpha.puller, [one.id], walk.choice([JobState.RUNNING, JobState.COMPLETED, JobState.FAILED]), now)
        elif walk.random() < 0.1:
            cancel_jobs(by=alpha.submitter, job_ids=[one.id], now=now)
        else:
            step_group(group_id=group, now=now)
        assert len(under_way(group)) <= 4
    assert agreed()


def test_a_member_that_waits_for_its_next_attempt_keeps_its_room(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 3, now, at_once=1)
    settle(now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], agent="a", now=now)
    Job.objects.filter(id=ids[0]).update(retry_most=1, retry_on=["exit_code"])
    report(alpha.puller, ids[:1], JobState.FAILED, now, exit_code=1)
    assert states(ids[:1]) == ["blocked"]

    settle(now)
    step_group(group_id=group, now=now)

    assert states(ids) == ["blocked"] * 3


def test_a_member_whose_next_attempt_is_due_meanwhile_keeps_its_room(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, ids = new_group(alpha.submitter, 2, now, at_once=1)
    settle(now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], agent="a", now=now)
    Job.objects.filter(id=ids[0]).update(retry_most=1, retry_on=["exit_code"])
    report(alpha.puller, ids[:1], JobState.FAILED, now, exit_code=1)

    def and_then_it_is_queued(group_ids: Collection[int]) -> dict[int, dict[JobState, int]]:
        counts = counts_of(group_ids)
        assert queue_due_retries(now=now + timedelta(hours=1)) == 1
        return counts

    monkeypatch.setattr(group_steps, "counts_of", and_then_it_is_queued)
    step_group(group_id=group, now=now)

    assert under_way(group) == ids[:1]


def test_members_that_wait_for_others_are_passed_over(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 3, now, at_once=1)
    Job.objects.filter(id=ids[0]).update(unmet=1)

    settle(now)

    assert under_way(group) == ids[1:2]


def test_after_so_many_failures_the_rest_is_cancelled_and_what_runs_runs_on(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 6, now, at_once=4, stop_after_failures=2)
    settle(now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:3], agent="a", now=now)
    report(alpha.puller, ids[:1], JobState.FAILED, now, exit_code=1)
    settle(now)
    assert found(alpha.submitter, group).stopped_at is None

    report(alpha.puller, ids[1:2], JobState.FAILED, now, exit_code=1)
    settle(now)

    assert states(ids) == ["failed", "failed", "accepted", "cancelled", "cancelled", "cancelled"]
    assert Job.objects.get(id=ids[5]).reason == "2 of its jobs failed"
    assert Job.objects.get(id=ids[2]).cancel_requested_at is None
    report(alpha.puller, ids[2:3], JobState.COMPLETED, now, exit_code=0)
    settle(now)
    one = found(alpha.submitter, group)
    assert (one.finished_at, one.why) == (now, "2 of its jobs failed")
    assert counted() == recounted()


def test_what_a_cluster_accepts_while_its_group_is_stopped_runs_on(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, ids = new_group(alpha.submitter, 3, now, stop_after_failures=1)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], agent="a", now=now)
    report(alpha.puller, ids[:1], JobState.FAILED, now)

    def and_then_one_is_accepted(jobs: JobQuerySet) -> list[int]:
        found = find(jobs)
        accept_jobs(caller=alpha.puller, job_ids=ids[1:2], agent="a", now=now)
        return found

    find = group_steps._ids
    monkeypatch.setattr(group_steps, "_ids", and_then_one_is_accepted)
    step_group(group_id=group, now=now)

    assert states(ids) == ["failed", "accepted", "cancelled"]
    assert Job.objects.get(id=ids[1]).cancel_requested_at is None


def test_a_stopped_group_takes_no_further_members(alpha: Any, now: datetime) -> None:
    group, _ = new_group(alpha.submitter, 1, now, more=True)
    cancel_group(by=alpha.submitter, group_id=group, reason="enough", now=now)

    (refusal,) = submitted(alpha.submitter, 1, now, group_id=group)

    assert isinstance(refusal, FailedPrecondition)
    assert "enough" in refusal.message


def test_cancelling_a_group_cancels_all_that_can_be(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 5, now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:2], agent="a", now=now)
    report(alpha.puller, ids[:1], JobState.COMPLETED, now, exit_code=0)
    accept_jobs(caller=alpha.puller, job_ids=ids[4:], now=now)

    cancel_group(by=alpha.submitter, group_id=group, reason="wrong input", now=now)
    assert states(ids) == ["completed", "accepted", "queued", "queued", "accepted"]
    settle(now)

    assert states(ids) == ["completed", "accepted", "cancelled", "cancelled", "accepted"]
    asked = Job.objects.get(id=ids[1])
    assert (asked.cancel_requested_at, asked.reason) == (now, "wrong input")
    assert Job.objects.get(id=ids[4]).cancel_requested_at is None
    last = JobEvent.objects.filter(job_id=ids[2]).order_by("-id")[0]
    assert (last.what, last.credential_id, last.why) == ("cancelled", alpha.submitter.credential_id, "wrong input")
    assert due_groups(now=now) == []


def test_a_cancel_of_a_large_group_goes_on_in_steps(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 2 * BATCH + 1, now, at_once=3)
    settle(now)
    cancel_group(by=alpha.submitter, group_id=group, now=now)

    assert step_group(group_id=group, now=now)
    assert states(ids).count("cancelled") == BATCH
    settle(now)

    one = found(alpha.submitter, group)
    assert (one.counts, one.finished_at) == ({JobState.CANCELLED: len(ids)}, now)
    assert counted() == recounted()


def test_a_finished_group_is_not_cancelled(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 1, now)
    cancel_jobs(by=alpha.submitter, job_ids=ids, now=now)
    settle(now)

    with pytest.raises(FailedPrecondition):
        cancel_group(by=alpha.submitter, group_id=group, now=now)


def test_only_its_own_may_cancel_a_group(
    alpha: Any, mallory: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    shares(project_of(alice, bob, now=now), now=now)
    hers = caller_with(personal_token(alice, now=now), cluster="alpha", now=now)
    his = caller_with(personal_token(bob, now=now), cluster="alpha", now=now)
    group, _ = new_group(hers, 1, now)

    for by, why in ((mallory.submitter, "no such"), (alpha.submitter, "no such"), (his, "only its owner")):
        with pytest.raises(NotFound, match=why):
            cancel_group(by=by, group_id=group, now=now)
    assert JobGroup.objects.get().stopped_at is None
    cancel_group(by=hers, group_id=group, now=now)


def test_the_same_key_with_other_limits_is_refused(alpha: Any, now: datetime) -> None:
    submitted(alpha.submitter, 1, now, key="k", at_once=2)

    with pytest.raises(AlreadyExists):
        submitted(alpha.submitter, 1, now, key="k", at_once=3)


def test_late_reports_of_cancelled_members_do_no_harm(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 2, now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent="a", now=now)
    cancel_group(by=alpha.submitter, group_id=group, now=now)
    settle(now)

    outcomes = report_jobs(
        caller=alpha.puller,
        agent="a",
        reports=[Report(job_id=id, attempt=1, state=JobState.CANCELLED) for id in ids],
        now=now,
    )
    settle(now)

    assert len(outcomes) == 2
    assert found(alpha.submitter, group).finished_at == now
