"""What a submitter at a limit is told over gRPC and REST, and on the server's command line."""

import json
from datetime import datetime
from http import HTTPStatus
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from clusters.callers import Operator
from clusters.models import Allowance
from tests.support.members import project_of, submitted_by, token_of

pytestmark = pytest.mark.django_db


def said(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_rest_answers_429_with_the_number_and_retry_after(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    assert said("person", "limit", "alice", "--waiting", "1") == "Changed alice.\n"
    headers = {"Authorization": f"Bearer {token_of(alice)}"}

    first, second = (
        Client().post("/api/v1/clusters/alpha/jobs", {"command": "id"}, "application/json", headers=headers)
        for _ in range(2)
    )

    assert first.status_code == HTTPStatus.CREATED, first.content
    assert second.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert "1 of the 1 waiting jobs" in second.json()["detail"]
    assert int(second["Retry-After"]) >= 1


def test_rest_shows_people_their_limits_and_what_is_used(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", now=now)
    said("project", "limit", "chem", "--waiting", "10")
    submitted_by(alice, 2, now=now)
    headers = {"Authorization": f"Bearer {token_of(alice)}"}

    me = Client().get("/api/v1/me", headers=headers).json()

    assert me["limits"][0] == {"limit": "waiting", "has": 2, "most": None}
    assert me["projects"][0]["limits"][0] == {"limit": "waiting", "has": 2, "most": 10}


def test_the_command_line_sets_and_shows_limits(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", now=now)
    submitted_by(alice, 2, now=now)

    assert said("project", "limit", "chem", "--waiting", "10", "--submissions", "none") == "Changed chem.\n"
    assert said("project", "limit", "chem", "--waiting", "10") == "chem was so before.\n"
    assert "2 of 10 waiting jobs" in said("project", "list")
    shown = json.loads(said("project", "show", "chem", "--json"))["limits"]
    assert {"limit": "waiting", "has": 2, "most": 10} in shown
    assert said("person", "show", "alice") == "alice: none\n"
    assert json.loads(said("person", "show", "alice", "--json"))["limits"][0] == {
        "limit": "waiting", "has": 2, "most": None,
    }  # fmt: skip
    said("project", "limit", "chem", "--waiting", "default")
    assert Allowance.objects.get(kind="project").most_waiting is None


@pytest.mark.parametrize("words", [("--waiting", "-1"), ("--waiting", "many"), ("--waiting", "999999999"), ()])
def test_a_limit_that_cannot_be_is_refused(alice: Operator, words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        said("person", "limit", "alice", *words)
