"""The page of a person's usage."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from jobs.sql.statements import run_in_order
from jobs.sql.usage import usage_added
from jobs.usage import day_of
from tests.support.members import browser_of, project_of, shares
from tests.test_hostile_text import Page

USAGE = "/my/usage/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def chem(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> Any:
    """Alice used an hour today, and one that the page has forgotten; bob two."""
    project = project_of(alice, bob, now=now)
    for who, days_ago, hours in ((alice, 0, 1), (alice, 400, 50), (bob, 0, 2)):
        day = day_of(now) - timedelta(days=days_ago)
        run_in_order(usage_added({(day, alpha.cluster.id, project.id, who.user_id): (hours, hours * 3_600)}))
    return project


def test_a_person_sees_their_own_usage_and_what_the_project_shares(alice: Operator, chem: Any, now: datetime) -> None:
    browser = browser_of(alice)

    before = browser.get(USAGE).context
    shares(chem, now=now)
    after = browser.get(f"{USAGE}?days=365&by=person").context

    assert (before["rows"], before["total"]) == ([(["chem", "alice", "alpha"], 1, 1.0)], (1, 1.0))
    assert after["rows"] == [(["alice"], 1, 1.0), (["bob"], 2, 2.0)]


def test_the_csv_has_the_same(alice: Operator, chem: Any) -> None:
    browser = browser_of(alice)

    answer = browser.get(browser.get(f"{USAGE}?days=7&by=project&by=person").context["csv"])

    assert answer.content.decode().splitlines() == ["project,person,jobs,node_seconds", "chem,alice,1,3600"]


@pytest.mark.parametrize("query", ["days=x", "days=7", "by=x&days=7", "by=person", "days=7&by=%00", "x=%3Cscript%3E"])
def test_a_wrong_question_is_said(alice: Operator, chem: Any, query: str) -> None:
    answer = browser_of(alice).get(f"{USAGE}?{query}")

    assert answer.status_code == 200 and answer.context["form"].errors
    assert Page(answer.content.decode()).dangers == []


def test_strangers_are_asked_to_sign_in(db: None) -> None:
    assert Client().get(USAGE)["Location"] == f"/sign-in/?next={USAGE}"
