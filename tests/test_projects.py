"""Projects: who may change them, and what a change does at once."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User

from clusters.callers import Operator
from clusters.models import Membership, Project, ProjectEvent, Role
from clusters.services import projects
from clusters.services.projects import (
    Change,
    add_member,
    close_project,
    create_project,
    grant_cluster,
    project_named,
    remove_member,
    reopen_project,
    share_jobs,
    withdraw_cluster,
)
from rainbow.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RainbowError,
    Unauthenticated,
)
from tests.support.members import caller_with, operator_of_projects, person_named, personal_token, project_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_of_projects("olga")


def told(project: Project) -> list[tuple[str, str, str, str]]:
    events = ProjectEvent.objects.filter(project=project).order_by("id")
    return [(event.what, event.about, event.who, event.why) for event in events]


def test_an_operator_makes_a_project_and_every_change_is_told(
    alpha: Any, olga: Operator, alice: Operator, now: datetime
) -> None:
    change = Change(by=olga, now=now, reason="the spring campaign")

    project = create_project(name="chem", change=change)
    assert add_member(project_id=project.id, person="alice", change=change)
    assert add_member(project_id=project.id, person="alice", role=Role.LEAD, change=change)
    assert grant_cluster(project_id=project.id, cluster="alpha", change=change)
    assert share_jobs(project_id=project.id, shares=True, change=change)
    withdraw_cluster(project_id=project.id, cluster="alpha", change=change)
    remove_member(project_id=project.id, person="alice", change=change)
    assert close_project(project_id=project.id, change=change)
    assert reopen_project(project_id=project.id, change=change)

    assert [(what, about) for what, about, who, why in told(project) if (who, why) == ("olga", change.reason)] == [
        ("made", ""),
        ("member_added", "alice as member"),
        ("role_changed", "alice as lead"),
        ("granted", "alpha"),
        ("shares", ""),
        ("withdrawn", "alpha"),
        ("member_removed", "alice"),
        ("closed", ""),
        ("reopened", ""),
    ]


def test_what_is_so_already_is_no_change(alpha: Any, olga: Operator, alice: Operator, now: datetime) -> None:
    project, change = project_of(alice, now=now), Change(by=olga, now=now)
    before = told(project)

    assert not add_member(project_id=project.id, person="alice", change=change)
    assert not grant_cluster(project_id=project.id, cluster="alpha", change=change)
    assert not share_jobs(project_id=project.id, shares=False, change=change)
    assert not reopen_project(project_id=project.id, change=change)

    assert told(project) == before


Deed = Callable[[Project, Change], object]
OF_LEADS: dict[str, Deed] = {
    "add": lambda project, change: add_member(project_id=project.id, person="bob", change=change),
    "remove": lambda project, change: remove_member(project_id=project.id, person="alice", change=change),
    "share": lambda project, change: share_jobs(project_id=project.id, shares=True, change=change),
}
OF_OPERATORS: dict[str, Deed] = {
    "create": lambda project, change: create_project(name="bio", change=change),
    "close": lambda project, change: close_project(project_id=project.id, change=change),
    "reopen": lambda project, change: reopen_project(project_id=project.id, change=change),
    "grant": lambda project, change: grant_cluster(project_id=project.id, cluster="beta", change=change),
    "withdraw": lambda project, change: withdraw_cluster(project_id=project.id, cluster="alpha", change=change),
}


@pytest.mark.parametrize("deed", OF_LEADS.values(), ids=OF_LEADS)
def test_leads_look_after_members(alpha: Any, alice: Operator, bob: Operator, deed: Deed, now: datetime) -> None:
    project = project_of(lead=alice, now=now)

    assert deed(project, Change(by=alice, now=now)) is not False


@pytest.mark.parametrize("deed", [*OF_LEADS.values(), *OF_OPERATORS.values()], ids=[*OF_LEADS, *OF_OPERATORS])
@pytest.mark.parametrize("role", ["member", "stranger", "staff", "former lead", "disabled lead"])
def test_nobody_else_changes_a_project(
    alpha: Any, beta: Any, alice: Operator, bob: Operator, deed: Deed, role: str, now: datetime
) -> None:
    project = project_of(alice, now=now)
    who = {"member": alice, "stranger": bob}.get(role) or person_named(role)
    if role == "staff":
        User.objects.filter(id=who.user_id).update(is_staff=True)
    if role.endswith("lead"):
        other = project_of(lead=who, name="other", now=now)
        if role == "disabled lead":
            Membership.objects.create(project=project, person_id=who.user_id, role=Role.LEAD)
            User.objects.filter(id=who.user_id).update(is_active=False)
        else:
            Membership.objects.filter(project=other).update(role=Role.MEMBER)
    before = told(project)

    with pytest.raises(PermissionDenied):
        deed(project, Change(by=who, now=now))

    assert told(project) == before
    assert Project.objects.filter(name="bio").count() == 0


@pytest.mark.parametrize("deed", OF_OPERATORS.values(), ids=OF_OPERATORS)
def test_a_lead_grants_nothing(alpha: Any, beta: Any, alice: Operator, deed: Deed, now: datetime) -> None:
    project = project_of(lead=alice, now=now)

    with pytest.raises(PermissionDenied, match="an operator of projects is required"):
        deed(project, Change(by=alice, now=now))


REFUSED: list[tuple[Deed, type[RainbowError], str]] = [
    (lambda project, change: create_project(name="chem", change=change), AlreadyExists, "name: a project has this"),
    (lambda project, change: create_project(name="a b", change=change), InvalidArgument, "name: must be 1 to 63"),
    (lambda project, change: close_project(project_id=0, change=change), NotFound, "project: there is no such"),
    (
        lambda project, change: add_member(project_id=project.id, person="x\n", change=change),
        NotFound,
        r"person: there is no person 'x\\n'",
    ),
    (
        lambda project, change: remove_member(project_id=project.id, person="bob", change=change),
        NotFound,
        "person: 'bob' is no member",
    ),
    (
        lambda project, change: grant_cluster(project_id=project.id, cluster="none", change=change),
        NotFound,
        "cluster: there is no cluster or pool 'none'",
    ),
    (
        lambda project, change: withdraw_cluster(project_id=project.id, cluster="beta", change=change),
        NotFound,
        "cluster: the project may not use 'beta'",
    ),
    (lambda project, change: project_named("none"), NotFound, "project: there is no project 'none'"),
    (lambda project, change: project_named(""), InvalidArgument, "project: must not be empty"),
]


@pytest.mark.parametrize(("deed", "kind", "words"), REFUSED)
def test_a_refusal_names_the_field(
    alpha: Any, beta: Any, olga: Operator, deed: Deed, kind: type[RainbowError], words: str, now: datetime
) -> None:
    project = project_of(now=now)

    with pytest.raises(kind, match=words):
        deed(project, Change(by=olga, now=now))


def test_members_and_grants_are_bounded(
    alpha: Any, beta: Any, alice: Operator, bob: Operator, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    project, change = project_of(alice, now=now), Change(by=None, now=now)
    monkeypatch.setattr(projects, "MAX_MEMBERS", 1)
    monkeypatch.setattr(projects, "MAX_GRANTS", 1)

    with pytest.raises(FailedPrecondition, match="the project has 1 members"):
        add_member(project_id=project.id, person="bob", change=change)
    with pytest.raises(FailedPrecondition, match="the project has 1 clusters and pools"):
        grant_cluster(project_id=project.id, cluster="beta", change=change)


TAKES_AWAY: dict[str, Deed] = {
    "remove": lambda project, change: remove_member(project_id=project.id, person="alice", change=change),
    "withdraw": lambda project, change: withdraw_cluster(project_id=project.id, cluster="alpha", change=change),
    "close": lambda project, change: close_project(project_id=project.id, change=change),
    "disable": lambda project, change: User.objects.filter(username="alice").update(is_active=False),
}


@pytest.mark.parametrize("deed", TAKES_AWAY.values(), ids=TAKES_AWAY)
def test_what_a_change_takes_away_no_token_reaches_any_more(
    alpha: Any, alice: Operator, deed: Deed, now: datetime
) -> None:
    project = project_of(alice, now=now)
    token = personal_token(alice, now=now)
    assert caller_with(token, cluster="alpha", now=now).person == "alice"

    deed(project, Change(by=None, now=now))

    with pytest.raises(Unauthenticated):
        caller_with(token, cluster="alpha", now=now)
