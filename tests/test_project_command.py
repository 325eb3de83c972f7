"""`manage.py project`."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from clusters.models import ProjectEvent
from tests.support.members import person_named

pytestmark = pytest.mark.django_db


def project(*words: str) -> str:
    out = StringIO()
    call_command("project", *words, stdout=out)
    return out.getvalue()


def test_an_operator_makes_fills_shows_and_closes_a_project(alpha: Any) -> None:
    for name in ("alice", "bob"):
        person_named(name)

    assert project("create", "chem", "--reason", "a new team") == "Made chem.\n"
    assert project("add", "chem", "alice", "--lead") == "Changed chem.\n"
    assert project("add", "chem", "bob") == "Changed chem.\n"
    assert project("grant", "chem", "alpha") == "Changed chem.\n"
    assert project("share", "chem") == "Changed chem.\n"
    assert project("share", "chem") == "chem was so before.\n"

    shown = json.loads(project("show", "chem", "--json"))
    assert shown["members"] == [["alice", "lead"], ["bob", "member"]]
    assert (shown["clusters"], shown["shares_jobs"], shown["closed_at"]) == (["alpha"], True, None)
    assert "alice (lead), bob" in project("list")
    assert ProjectEvent.objects.get(what="made").why == "a new team"

    project("remove", "chem", "bob")
    project("withdraw", "chem", "alpha")
    project("unshare", "chem")
    project("close", "chem")
    assert "closed" in project("show", "chem")
    assert [one["members"] for one in json.loads(project("list", "--json"))] == [[["alice", "lead"]]]
    assert project("reopen", "chem") == "Changed chem.\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("show", "none"), "there is no project 'none'"),
        (("create", "-x!"), "name"),
        (("add", "chem", "nobody"), "there is no person 'nobody'; an operator adds accounts"),
        (("remove", "chem", "alice"), "'alice' is no member"),
        (("grant", "chem", "nowhere"), "there is no cluster or pool 'nowhere'"),
        (("withdraw", "chem", "alpha"), "the project may not use 'alpha'"),
    ],
)
def test_what_cannot_be_is_refused(alpha: Any, words: tuple[str, ...], complaint: str) -> None:
    project("create", "chem")

    with pytest.raises(CommandError, match=complaint):
        project(*words[:1], "--", *words[1:]) if words[0] == "create" else project(*words)


def test_of_several_names_all_are_taken_or_none(alpha: Any) -> None:
    person_named("alice")
    project("create", "chem")

    with pytest.raises(CommandError, match="there is no person 'nobody'"):
        project("add", "chem", "alice", "nobody")
    with pytest.raises(CommandError, match="there is no cluster or pool 'nowhere'"):
        project("grant", "chem", "alpha", "nowhere")

    shown = json.loads(project("show", "chem", "--json"))
    assert (shown["members"], shown["clusters"]) == ([], [])
    assert project("grant", "chem", "alpha") == "Changed chem.\n"
    assert project("grant", "chem", "alpha") == "chem was so before.\n"
    assert project("withdraw", "chem", "alpha") == "Changed chem.\n"


def test_the_weight_of_a_project_is_shown() -> None:
    project("create", "chem")
    assert json.loads(project("show", "chem", "--json"))["weight"] == 1

    project("weigh", "chem", "300")

    assert json.loads(project("show", "chem", "--json"))["weight"] == 300
    assert project("list").splitlines()[1].split()[-2:] == ["300", "none"]
