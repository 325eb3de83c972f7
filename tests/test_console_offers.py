"""The console offers what can change something, and says how much before it does it."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from jobs.models import Job
from jobs.queries.applicable import actions_for, actions_for_all, changeable, foresee
from jobs.queries.search import Search
from jobs.services.actions import Action, apply_to_jobs
from jobs.services.cancel import cancel_jobs
from jobs.states import ActionKind, JobState
from tests.support.console import signed_in
from tests.support.lives import handed_over, job_in
from tests.support.queue import operator_named, submitted

JOBS = "/admin/jobs/job/"
KINDS = list(ActionKind)


@pytest.fixture
def olaf(db: None) -> Client:
    return signed_in("olaf", "operators")


def text_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def offered(answer: Any) -> set[str]:
    """The acts that a page has a button for."""
    return set(re.findall(r'formaction="/admin/jobs/job/(act/\w+|bulk/begin/\w+)/"', answer.content.decode()))


@pytest.fixture
def of_every_kind(alpha: Any, now: datetime) -> list[int]:
    """A job of each state, and those that are asked to stop, and one that its cluster owns."""
    ids = [job_in(state, alpha, now=now) for state in JobState]
    asked = [job_in(state, alpha, now=now) for state in (JobState.ACCEPTED, JobState.RUNNING)]
    cancel_jobs(by=alpha.puller, job_ids=asked, now=now)
    lost = job_in(JobState.LOST, alpha, now=now)
    Job.objects.filter(id=lost).update(cancel_requested_at=now)
    return [*ids, *asked, lost, handed_over(alpha, now=now)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_foretold_is_what_the_act_does(
    of_every_kind: list[int], beta: Any, now: datetime, kind: ActionKind
) -> None:
    by = operator_named("olga")
    action = Action(kind=kind, reason="x", priority=9, cluster_id=beta.cluster.id)

    foretold = changeable(kind=kind, job_ids=of_every_kind)
    one_by_one = {id for id in of_every_kind if kind in actions_for(Job.objects.filter(id=id))}
    counted = foresee(kind=kind, by=by, search=Search())
    with transaction.atomic():
        results = apply_to_jobs(action=action, by=by, job_ids=of_every_kind, now=now)

    assert foretold == one_by_one == {verdict.job_id for verdict in results if not verdict.refusal}
    assert (counted.jobs, counted.more) == (len(foretold), False)
    assert 0 < len(foretold) < len(of_every_kind)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_nothing_is_offered_for_jobs_that_are_over(alpha: Any, olaf: Client, now: datetime, state: JobState) -> None:
    job = job_in(state, alpha, now=now)
    submitted(alpha, now=now)

    listed = olaf.get(JOBS, {"state": state})

    assert offered(listed) == set()
    assert "no action can change them" in text_of(listed)
    assert 'type="checkbox" name="id"' not in listed.content.decode()
    assert offered(olaf.get(f"{JOBS}{job}/change/")) == set()


def test_what_a_list_offers_changes_something_in_it(alpha: Any, olaf: Client, now: datetime) -> None:
    job_in(JobState.RUNNING, alpha, now=now)
    job_in(JobState.FAILED, alpha, now=now)
    assert offered(olaf.get(JOBS)) == {"act/cancel", "bulk/begin/cancel"}

    job_in(JobState.LOST, alpha, now=now)
    both = {"act/cancel", "act/requeue", "bulk/begin/cancel", "bulk/begin/requeue"}
    assert offered(olaf.get(JOBS)) == both
    assert offered(olaf.get(JOBS, {"state": "failed"})) == set()
    assert offered(olaf.get(JOBS, {"text": "no such name"})) == set()


def test_all_that_match_are_judged_beyond_the_page(alpha: Any, olaf: Client, now: datetime) -> None:
    submitted(alpha, now=now, name="waits")
    over = submitted(alpha, 100, now=now)
    cancel_jobs(by=alpha.submitter, job_ids=over, now=now)

    assert offered(olaf.get(JOBS)) == {f"bulk/begin/{kind}" for kind in ("cancel", "prioritize", "move")}


def test_a_job_that_its_cluster_owns_is_not_offered_to_be_cancelled(alpha: Any, olaf: Client, now: datetime) -> None:
    job = handed_over(alpha, now=now)

    assert offered(olaf.get(f"{JOBS}{job}/change/")) == {"act/requeue"}


@pytest.mark.parametrize("ask", ["chosen", "all"])
def test_a_confirmation_says_how_many_it_can_change(alpha: Any, olaf: Client, now: datetime, ask: str) -> None:
    ids = [job_in(state, alpha, now=now) for state in (JobState.LOST, JobState.FAILED, JobState.FAILED)]
    pages: dict[str, Callable[[], Any]] = {
        "chosen": lambda: olaf.get(f"{JOBS}act/requeue/", {"id": ids}),
        "all": lambda: olaf.get(f"{JOBS}bulk/begin/requeue/"),
    }

    shown = pages[ask]()

    assert "Requeue 1 of 3 jobs" in text_of(shown)
    assert "Only accepted and lost jobs can be requeued" in text_of(shown)
    assert text_of(shown).count("stays as it is") == (2 if ask == "chosen" else 0)


@pytest.mark.parametrize("address", ["act/requeue/?id={0}&id={1}", "bulk/begin/requeue/?state=failed"])
def test_an_act_that_can_change_none_is_not_offered_where_its_page_is_asked_for(
    alpha: Any, olaf: Client, now: datetime, address: str
) -> None:
    ids = [job_in(JobState.FAILED, alpha, now=now) for _ in range(2)]

    shown = olaf.get(JOBS + address.format(*ids))

    assert "None of 2 jobs can be requeued" in text_of(shown)
    assert "Only accepted and lost jobs can be requeued" in text_of(shown)
    assert 'type="submit"' not in shown.content.decode().partition('class="confirm"')[2]


def test_a_page_that_acts_on_all_says_so_plainly(alpha: Any, olaf: Client, now: datetime) -> None:
    submitted(alpha, 3, now=now)

    shown = text_of(olaf.get(f"{JOBS}bulk/begin/cancel/"))

    assert "Cancel 3 jobs" in shown
    assert "stays as it is" not in shown


def test_more_jobs_than_are_counted_are_told_by_the_counts(
    alpha: Any, olaf: Client, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(alpha, 12, now=now)
    job_in(JobState.FAILED, alpha, now=now)
    for name in ("jobs.queries.applicable._COUNT_UP_TO", "jobs.admin.bulk_actions._COUNT_UP_TO"):
        monkeypatch.setattr(name, 10)

    assert "Cancel up to 12 of 13 jobs" in text_of(olaf.get(f"{JOBS}bulk/begin/cancel/"))
    assert "Cancel 12 jobs" in text_of(olaf.get(f"{JOBS}bulk/begin/cancel/?state=queued"))
    by_name = olaf.get(f"{JOBS}bulk/begin/cancel/?label=a%3Db")
    assert "None of 0 jobs" in text_of(by_name)


def test_an_act_on_all_looks_at_a_few_jobs_only(alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more than it looks at, the action is offered: it may change those."""
    for _ in range(3):
        handed_over(alpha, now=now)
    by = operator_named("olga")
    assert actions_for_all(by=by, search=Search()) == [ActionKind.REQUEUE]

    monkeypatch.setattr("jobs.queries.applicable._LOOK_AT", 3)

    assert actions_for_all(by=by, search=Search()) == [ActionKind.CANCEL, ActionKind.REQUEUE]
