"""Groups of jobs: the services themselves."""

from contextlib import suppress
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from clusters.callers import Caller, Operator
from jobs.models import GroupCount, Job, JobGroup
from jobs.queries.groups import FoundGroup, get_group, list_groups
from jobs.queries.lookup import list_jobs
from jobs.queries.search import Search
from jobs.reports import Report
from jobs.services import groups
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.group_steps import LEFT_OPEN_FOR, due_groups, step_group
from jobs.services.groups import GroupWish
from jobs.services.move import move_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.prune import prune_jobs
from jobs.services.report import report_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, LimitReached, RainbowError
from tests.support.members import caller_with, personal_token, project_of
from tests.support.queue import operator_named

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def submitted(
    by: Caller, members: int, now: datetime, *, first: int = 0, key: str = "", **wish: Any
) -> list[Receipt | RainbowError]:
    orders = [
        Order(
            by=by,
            cluster_id=by.cluster_id,
            spec=JobSpec(command="true", array_index=index, idempotency_key=f"{key}/{index}" if key else ""),
        )
        for index in range(first, first + members)
    ]
    return submit_jobs(orders=orders, group=GroupWish(by=by, idempotency_key=key, **wish), now=now)


def new_group(by: Caller, members: int, now: datetime, **wish: Any) -> tuple[int, list[int]]:
    """A group's id, and those of its members."""
    ids = [receipt.job_id for receipt in submitted(by, members, now, **wish) if isinstance(receipt, Receipt)]
    return Job.objects.get(id=ids[0]).group, ids


def report(by: Caller, ids: list[int], state: JobState, now: datetime, **said: Any) -> None:
    report_jobs(
        caller=by, agent="a", reports=[Report(job_id=id, attempt=1, state=state, **said) for id in ids], now=now
    )


def found(by: Caller | Operator, group: int) -> FoundGroup:
    one = get_group(by=by, group_id=group)
    assert one
    return one


def test_a_group_counts_its_members_by_state_wherever_they_are(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 6, now, name="sweep")
    accept_jobs(caller=alpha.puller, job_ids=ids[:4], agent="a", now=now)
    report(alpha.puller, ids[:3], JobState.RUNNING, now)
    report(alpha.puller, ids[:1], JobState.COMPLETED, now, exit_code=0)
    report(alpha.puller, ids[1:2], JobState.FAILED, now, exit_code=3, reason="exit code 3")
    cancel_jobs(by=alpha.submitter, job_ids=ids[5:], now=now)

    one = found(alpha.submitter, group)

    assert one.counts == dict.fromkeys(("queued", "accepted", "running", "completed", "failed", "cancelled"), 1)
    assert (one.name, one.cluster, one.members, one.finished_at) == ("sweep", "alpha", 6, None)
    assert [(job.id, job.array_index, job.reason) for job in one.failures] == [(ids[1], 1, "exit code 3")]


def test_its_members_know_their_group_and_index(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 2, now)

    assert [(job.group, job.array_index) for job in Job.objects.order_by("id")] == [(group, 0), (group, 1)]
    page = list_jobs(by=alpha.submitter, search=Search(group=group, states=[JobState.QUEUED]))
    assert [job.id for job in page.jobs] == ids[::-1]


def test_the_same_key_finds_the_same_group_and_makes_no_member_twice(alpha: Any, now: datetime) -> None:
    first = submitted(alpha.submitter, 3, now, key="k")
    again = submitted(alpha.submitter, 3, now, key="k")

    assert [receipt.job_id for receipt in again] == [receipt.job_id for receipt in first]
    assert all(receipt.duplicate for receipt in again)
    assert JobGroup.objects.count() == 1
    assert found(alpha.submitter, JobGroup.objects.get().id).members == 3


def test_members_with_keys_need_a_group_with_one(alpha: Any, now: datetime) -> None:
    """Else a repeat would make another group, in which they are other jobs."""
    spec = JobSpec(command="true", idempotency_key="k")
    order = Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=spec)

    with pytest.raises(InvalidArgument) as refused:
        submit_jobs(orders=[order], group=GroupWish(by=alpha.submitter), now=now)

    assert refused.value.field == "group.idempotency_key"
    assert not JobGroup.objects.exists()


def test_a_group_grows_while_it_is_open(alpha: Any, now: datetime) -> None:
    submitted(alpha.submitter, 2, now, key="k", more=True)
    submitted(alpha.submitter, 2, now, first=2, key="k")
    late = submitted(alpha.submitter, 1, now, first=4, key="k")

    group = found(alpha.submitter, JobGroup.objects.get().id)
    assert (group.members, group.open) == (4, False)
    assert [(type(refusal), refusal.field) for refusal in late] == [(FailedPrecondition, "group")]


def test_a_single_job_joins_an_open_group(alpha: Any, now: datetime) -> None:
    group, _ = new_group(alpha.submitter, 1, now, more=True)

    submit_jobs(
        orders=[Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=JobSpec(command="true", group=group))],
        now=now,
    )

    assert found(alpha.submitter, group).members == 2


def test_the_same_key_with_another_name_is_refused(alpha: Any, now: datetime) -> None:
    submitted(alpha.submitter, 1, now, key="k", name="one")

    with pytest.raises(AlreadyExists):
        submitted(alpha.submitter, 1, now, key="k", name="two")


def test_nobody_adds_to_the_group_of_another(alpha: Any, mallory: Any, now: datetime) -> None:
    group, _ = new_group(alpha.submitter, 1, now, more=True)

    with pytest.raises(InvalidArgument, match="no such group"):
        submitted(mallory.submitter, 1, now, group_id=group)
    spec = JobSpec(command="true", group=group)
    (refusal,) = submit_jobs(orders=[Order(by=mallory.submitter, cluster_id=mallory.cluster.id, spec=spec)], now=now)
    spec = JobSpec(command="true", group=group + 1)
    (same,) = submit_jobs(orders=[Order(by=mallory.submitter, cluster_id=mallory.cluster.id, spec=spec)], now=now)

    assert isinstance(refusal, InvalidArgument)
    assert isinstance(same, InvalidArgument)
    assert refusal.message == same.message
    assert found(alpha.submitter, group).members == 1


def test_a_group_without_members_is_not_made(alpha: Any, now: datetime) -> None:
    order = Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=JobSpec(command=""))

    (refusal,) = submit_jobs(orders=[order], group=GroupWish(by=alpha.submitter), now=now)

    assert isinstance(refusal, InvalidArgument)
    assert not JobGroup.objects.exists()


def test_a_stranger_sees_no_group(alpha: Any, mallory: Any, now: datetime) -> None:
    group, _ = new_group(alpha.submitter, 1, now)

    assert get_group(by=mallory.submitter, group_id=group) is None
    assert get_group(by=mallory.puller, group_id=group) is None
    assert list_groups(by=mallory.submitter).groups == []
    assert list_jobs(by=mallory.submitter, search=Search(group=group)).jobs == []
    assert list_jobs(by=mallory.puller, search=Search(group=group)).jobs == []


def test_who_sees_the_members_sees_the_group(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    hers = caller_with(personal_token(alice, now=now), cluster="alpha", now=now)
    group, _ = new_group(hers, 2, now)

    for by in (hers, alpha.puller, bob):
        assert found(by, group).members == 2
        assert len(list_jobs(by=by, search=Search(group=group)).jobs) == 2
    assert get_group(by=alpha.submitter, group_id=group) is None
    assert list_jobs(by=alpha.submitter, search=Search(group=group)).jobs == []


def test_groups_are_listed_newest_first_in_pages(alpha: Any, now: datetime) -> None:
    made = [new_group(alpha.submitter, 1, now)[0] for _ in range(3)]

    first = list_groups(by=alpha.submitter, size=2)
    second = list_groups(by=alpha.submitter, size=2, last=first.groups[-1].id)

    assert [group.id for group in [*first.groups, *second.groups]] == made[::-1]
    assert (first.more, second.more) == (True, False)


def test_a_group_is_finished_once_its_last_member_is_over(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 2, now)
    cancel_jobs(by=alpha.submitter, job_ids=ids[:1], now=now)
    assert due_groups(now=now) == []
    step_group(group_id=group, now=now)
    assert found(alpha.submitter, group).finished_at is None

    cancel_jobs(by=alpha.submitter, job_ids=ids[1:], now=now)

    assert due_groups(now=now) == [group]
    step_group(group_id=group, now=now + HOUR)
    step_group(group_id=group, now=now + DAY)
    assert found(alpha.submitter, group).finished_at == now + HOUR
    assert due_groups(now=now) == []
    assert list_groups(by=alpha.submitter, going=True).groups == []


def test_an_open_group_is_not_finished_until_it_is_closed(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 1, now, more=True)
    cancel_jobs(by=alpha.submitter, job_ids=ids, now=now)

    assert due_groups(now=now + HOUR) == []
    assert due_groups(now=now + LEFT_OPEN_FOR) == [group]
    step_group(group_id=group, now=now + LEFT_OPEN_FOR)

    one = found(alpha.submitter, group)
    assert (one.open, one.finished_at) == (False, now + LEFT_OPEN_FOR)


def test_a_group_is_pruned_after_its_members(alpha: Any, now: datetime) -> None:
    group, ids = new_group(alpha.submitter, 2, now)
    cancel_jobs(by=alpha.submitter, job_ids=ids[:1], now=now)
    cancel_jobs(by=alpha.submitter, job_ids=ids[1:], now=now + DAY)
    step_group(group_id=group, now=now + DAY)

    prune_jobs(before=now + HOUR)
    assert found(alpha.submitter, group).counts == {JobState.CANCELLED: 1}
    assert agreed()

    prune_jobs(before=now + 2 * DAY)
    assert get_group(by=alpha.submitter, group_id=group) is None
    assert not GroupCount.objects.exists()


def test_wrong_counts_are_found_and_mended(alpha: Any, now: datetime) -> None:
    group, _ = new_group(alpha.submitter, 2, now)
    assert agreed()
    GroupCount.objects.filter(group=group).update(jobs=5)

    assert "2 there" in checked()
    assert "2 there" in checked("--mend", "counters") or agreed()
    assert found(alpha.submitter, group).members == 2


def agreed() -> bool:
    return "agree" in checked()


def checked(*words: str) -> str:
    out = StringIO()
    with suppress(SystemExit):
        call_command("check_records", *words, stdout=out)
    return out.getvalue()


def test_a_submitter_has_so_many_unfinished_groups_and_no_more(
    alpha: Any, beta: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MOST_GOING", 2)
    (first, members), _ = new_group(alpha.submitter, 1, now, key="k"), new_group(alpha.submitter, 1, now)

    with pytest.raises(LimitReached):
        submitted(alpha.submitter, 1, now)
    with pytest.raises(LimitReached):
        submitted(alpha.submitter, 1, now, key="another")
    again, _ = new_group(alpha.submitter, 1, now, key="k")
    new_group(beta.submitter, 1, now)

    assert again == first
    cancel_jobs(by=alpha.submitter, job_ids=members, now=now)
    step_group(group_id=first, now=now)
    new_group(alpha.submitter, 1, now)


def test_a_clusters_secret_sees_no_failure_of_a_member_that_was_moved_away(
    alpha: Any, beta: Any, now: datetime
) -> None:
    group, ids = new_group(alpha.submitter, 2, now)
    move_jobs(by=operator_named("olga"), job_ids=ids[:1], cluster_id=beta.cluster.id, reason="full", now=now)
    accept_jobs(caller=beta.puller, job_ids=ids[:1], agent="a", now=now)
    report(beta.puller, ids[:1], JobState.FAILED, now, exit_code=1)

    assert found(alpha.puller, group).failures == []
    assert [job.id for job in found(alpha.submitter, group).failures] == ids[:1]
