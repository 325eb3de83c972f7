"""Acting on all jobs that match, in short steps."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from clusters.callers import Operator
from jobs.models import BulkAction, Job, JobEvent
from jobs.queries import search
from jobs.queries.lookup import count_jobs, list_jobs
from jobs.queries.search import Search
from jobs.services import bulk_actions
from jobs.services.accept import accept_jobs
from jobs.services.actions import Action
from jobs.services.bulk_actions import begin_bulk_action, search_of, step_bulk_action, stop_bulk_action
from jobs.states import ActionKind, JobState
from rainbow.errors import FailedPrecondition, InvalidArgument, NotFound
from tests.support.console import signed_in
from tests.support.queue import counted, operator_named, recounted, submitted

CANCEL = Action(kind=ActionKind.CANCEL, reason="the data was wrong")


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


def swept(action: Action, search: Search, by: Operator, now: datetime) -> BulkAction:
    going = begin_bulk_action(action=action, search=search, by=by, now=now)
    for _ in range(100):
        if going.over:
            return going
        going = step_bulk_action(bulk_action_id=going.id, now=now)
    raise AssertionError("it has no end")


def test_all_that_match_and_no_others_are_cancelled(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    bad = submitted(alpha, 5, now=now, name="bad-input", labels={"project": "sky"})
    submitted(alpha, 5, now=now, name="good", labels={"project": "sky"})
    submitted(beta, 5, now=now, name="bad-input", labels={"project": "sky"})
    accept_jobs(caller=alpha.puller, job_ids=bad[:1], now=now)

    search = Search(states=[JobState.QUEUED], cluster_id=alpha.cluster.id, text="BAD", labels={"project": "sky"})
    done = swept(CANCEL, search, olga, now)

    assert (done.changed, done.refused, done.percent) == (4, 0, 100)
    assert list(Job.objects.filter(state="cancelled").order_by("id").values_list("id", flat=True)) == bad[1:]
    assert counted() == recounted()
    event = JobEvent.objects.get(job_id=bad[1], what="cancelled")
    assert (event.operator_id, event.why) == (olga.user_id, "the data was wrong")


def test_a_bulk_action_goes_in_bounded_steps(
    alpha: Any, olga: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "_MOST_CHANGED", 10)
    ids = submitted(alpha, 25, now=now)

    going = begin_bulk_action(action=CANCEL, search=Search(), by=olga, now=now)
    steps = [step_bulk_action(bulk_action_id=going.id, now=now + timedelta(seconds=second)) for second in range(4)]

    assert [(step.changed, step.percent) for step in steps] == [(10, 40), (20, 80), (25, 100), (25, 100)]
    assert steps[2].finished_at == now + timedelta(seconds=2)
    assert Job.objects.filter(id__in=ids, state="cancelled").count() == 25


def test_ids_that_do_not_match_are_passed_over_in_bounded_steps(
    alpha: Any, olga: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "_MOST_LOOKED_AT", 10)
    first = submitted(alpha, name="wanted", now=now)
    submitted(alpha, 20, name="other", now=now)
    last = submitted(alpha, name="wanted", now=now)

    going = begin_bulk_action(action=CANCEL, search=Search(name="wanted"), by=olga, now=now)
    steps = [step_bulk_action(bulk_action_id=going.id, now=now) for _ in range(3)]

    assert [step.changed for step in steps] == [1, 1, 2]
    assert set(Job.objects.filter(state="cancelled").values_list("id", flat=True)) == {*first, *last}


def test_jobs_that_come_later_are_left_alone(alpha: Any, olga: Operator, now: datetime) -> None:
    submitted(alpha, 2, now=now)
    going = begin_bulk_action(action=CANCEL, search=Search(), by=olga, now=now)
    later = submitted(alpha, now=now)

    step_bulk_action(bulk_action_id=going.id, now=now)

    assert Job.objects.get(id=later[0]).state == "queued"


def test_refusals_are_counted_by_their_reason(alpha: Any, beta: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, 4, now=now)
    submitted(beta, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], now=now)

    done = swept(Action(kind=ActionKind.MOVE, reason="full", cluster_id=beta.cluster.id), Search(), olga, now)

    assert done.changed == 3
    assert done.refusals == {
        "the job is accepted; only waiting jobs can be moved": 1,
        "the job is there already": 2,
    }


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (Action(kind=ActionKind.CANCEL, reason=""), InvalidArgument),
        (Action(kind=ActionKind.PRIORITIZE, reason="x", priority=101), InvalidArgument),
        (Action(kind=ActionKind.MOVE, reason="x", cluster_id=0), NotFound),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_begins(
    alpha: Any, olga: Operator, now: datetime, action: Action, error: type[Exception]
) -> None:
    with pytest.raises(error):
        begin_bulk_action(action=action, search=Search(), by=olga, now=now)
    assert not BulkAction.objects.exists()


def test_a_bulk_action_can_be_stopped_half_way(
    alpha: Any, olga: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "_MOST_CHANGED", 10)
    submitted(alpha, 20, now=now)
    going = begin_bulk_action(action=CANCEL, search=Search(), by=olga, now=now)
    step_bulk_action(bulk_action_id=going.id, now=now)

    stop_bulk_action(bulk_action_id=going.id, now=now)

    assert step_bulk_action(bulk_action_id=going.id, now=now).changed == 10
    assert BulkAction.objects.get().percent == 50
    with pytest.raises(FailedPrecondition):
        stop_bulk_action(bulk_action_id=going.id, now=now)


def test_a_search_survives_being_written_down(alpha: Any, olga: Operator, now: datetime) -> None:
    search = Search(states=[JobState.LOST], labels={"a": "b"}, submitted_after=now, text="x", submitted_by=7)

    going = begin_bulk_action(action=CANCEL, search=search, by=olga, now=now)

    assert search_of(BulkAction.objects.get(id=going.id)) == search
    assert going.over, "nothing matches"


def test_text_is_looked_for_a_window_at_a_time(
    alpha: Any, olga: Operator, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_WINDOW_OF_TEXT", 10)
    old = submitted(alpha, name="Needle", now=now)
    ids = submitted(alpha, 14, now=now, name="hay")

    first = list_jobs(by=olga, search=Search(text="needle"))
    second = list_jobs(by=olga, search=Search(text="needle", last=first.looked_until))

    assert (first.jobs, first.looked_until) == ([], ids[4])
    assert ([job.id for job in second.jobs], second.looked_until) == (old, 0)


def test_commands_are_searched_only_when_asked_for(alpha: Any, olga: Operator, now: datetime) -> None:
    ids = submitted(alpha, now=now, command="python train.py")

    assert not list_jobs(by=olga, search=Search(text="train")).jobs
    assert [job.id for job in list_jobs(by=olga, search=Search(text="train", in_commands=True)).jobs] == ids
    assert count_jobs(by=olga, search=Search(text="train", in_commands=True), most=10) == 1


def test_only_the_step_that_ends_it_is_in_the_log(alpha: Any, now: datetime) -> None:
    submitted(alpha, 2, now=now)
    browser = signed_in("olga", "operators")
    user_id = int(browser.session["_auth_user_id"])
    going = begin_bulk_action(action=CANCEL, search=Search(), by=Operator(user_id=user_id, name="olga"), now=now)

    for _ in range(3):
        browser.post(f"/admin/jobs/job/bulk/{going.id}/step/")

    said = LogEntry.objects.filter(object_id=str(going.id)).values_list("change_message", flat=True)
    assert list(said) == ["2 cancelled, 0 not"]
