"""Signals to jobs by the pages of people and by the operators' console."""

from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from jobs.models import Job, Wish
from jobs.services.accept import accept_jobs
from jobs.signals import SIGNALS
from jobs.states import JobState, WishKind
from tests.support.console import signed_in
from tests.support.members import browser_of, shares, submitted_by
from tests.test_groups import report
from tests.test_my_jobs import messages, text_of

CONSOLE, MY = "/admin/jobs/job/", "/my/jobs/"
PAGES = {CONSOLE: f"{CONSOLE}{{}}/change/", MY: f"{MY}{{}}/"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def running(alpha: Any, chem: Any, now: datetime) -> Any:
    def made(who: Operator) -> int:
        (job_id,) = submitted_by(who, now=now, name="train")
        accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="a", now=now)
        report(alpha.puller, [job_id], JobState.RUNNING, now)
        return job_id

    return made


def viewer_of(root: str, who: Operator) -> Client:
    return browser_of(who) if root == MY else signed_in("olga", "operators")


def wishes() -> list[tuple[int | None, str, str]]:
    names = dict(User.objects.values_list("id", "username"))
    found = Wish.objects.filter(kind=WishKind.SIGNAL).order_by("id")
    return [(one.job_id, one.content["signal"], names[one.operator_id or 0]) for one in found]


@pytest.mark.parametrize("root", [CONSOLE, MY])
def test_a_running_job_is_sent_a_signal(alice: Operator, running: Any, root: str) -> None:
    job_id = running(alice)
    browser, page = viewer_of(root, alice), f"{root}{job_id}/signal/"

    assert f'href="{page}"' in text_of(browser, PAGES[root].format(job_id))
    asked = text_of(browser, page)
    assert all(f'value="{name}"' in asked for name in SIGNALS)
    assert wishes() == []
    done = browser.post(page, {"signal": "USR1", "reason": "save now"}, follow=True)

    assert messages(done) == ["SIGUSR1 will be sent by the cluster's agent."]
    assert wishes() == [(job_id, "USR1", "alice" if root == MY else "olga")]
    logged = list(LogEntry.objects.values_list("change_message", flat=True))
    assert logged == ([] if root == MY else ["SIGUSR1 requested: save now"])


@pytest.mark.parametrize("root", [CONSOLE, MY])
def test_a_job_that_does_not_run_is_sent_none(alice: Operator, chem: Any, now: datetime, root: str) -> None:
    (job_id,) = submitted_by(alice, now=now)
    browser, page = viewer_of(root, alice), f"{root}{job_id}/signal/"

    assert "/signal/" not in text_of(browser, PAGES[root].format(job_id))
    assert "The job does not run, or no agent has it." in text_of(browser, page)
    done = browser.post(page, {"signal": "USR1", "reason": "x"}, follow=True)

    assert messages(done) == ["Not sent: the job does not run, or no agent has it."]
    assert (wishes(), LogEntry.objects.count()) == ([], 0)


@pytest.mark.parametrize("root", [CONSOLE, MY])
@pytest.mark.parametrize(
    "said", [{}, {"signal": "KILL"}, {"signal": "9"}, {"signal": "USR1\nTERM"}, {"signal": ["x"] * 9}]
)
def test_other_signals_are_refused(alice: Operator, running: Any, root: str, said: dict[str, Any]) -> None:
    answer = viewer_of(root, alice).post(f"{root}{running(alice)}/signal/", {**said, "reason": "x"})

    assert answer.status_code == 200
    assert answer.context["form"].errors.keys() == {"signal"}
    assert wishes() == []


def test_an_operator_says_why(alice: Operator, running: Any) -> None:
    answer = viewer_of(CONSOLE, alice).post(f"{CONSOLE}{running(alice)}/signal/", {"signal": "USR1"})

    assert "This field is required" in answer.content.decode()
    assert wishes() == []


def test_a_viewer_sends_none(alice: Operator, running: Any) -> None:
    job_id, viewer = running(alice), signed_in("victor", "viewers")

    assert "/signal/" not in text_of(viewer, f"{CONSOLE}{job_id}/change/")
    for method in (viewer.get, viewer.post):
        assert method(f"{CONSOLE}{job_id}/signal/", {"signal": "USR1", "reason": "x"}).status_code == 403
    assert wishes() == []


def test_a_job_that_one_only_sees_is_sent_none(
    alice: Operator, bob: Operator, chem: Any, running: Any, now: datetime
) -> None:
    shares(chem, now=now)
    his, browser = running(bob), browser_of(alice)

    assert "Signal…" not in text_of(browser, f"{MY}{his}/")
    for method in (browser.get, browser.post):
        assert method(f"{MY}{his}/signal/", {"signal": "USR1"}).status_code == 404
    assert wishes() == []


def test_a_job_takes_only_so_many_signals(alice: Operator, running: Any) -> None:
    browser, page = browser_of(alice), f"{MY}{running(alice)}/signal/"

    answers = [browser.post(page, {"signal": "USR1"}, follow=True) for _ in range(11)]

    assert messages(answers[-1]) == ["Not sent: so many signals wait for the job's agent already; try again later."]
    assert len(wishes()) == 10
    assert Job.objects.get().state == JobState.RUNNING
