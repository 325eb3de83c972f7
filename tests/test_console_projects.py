"""The operators' console shows and changes projects and people, and keeps the record of who did."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.callers import Operator
from clusters.models import Credential, Membership, Project, ProjectEvent
from clusters.services.personal_tokens import Wish, create_personal_token, create_project_token
from clusters.services.projects import Change, add_member
from tests.support.console import signed_in
from tests.support.members import browser_of, person_named, personal_token, project_of
from tests.support.rest import Rest
from tests.test_hostile_text import EVIL, Page

PROJECTS, PEOPLE = "/admin/clusters/project/", "/admin/auth/user/"
PAGES = [PROJECTS, f"{PROJECTS}{{c}}/change/", PEOPLE, f"{PEOPLE}{{a}}/person/"]
VERBS = ["add", "remove", "grant", "withdraw", "share", "unshare", "close", "reopen"]
ACTS = [f"{PROJECTS}new/", f"{PROJECTS}{{c}}/token/new/", f"{PROJECTS}{{c}}/token/{{p}}/revoke/",
        *(f"{PROJECTS}{{c}}/act/{verb}/" for verb in VERBS),
        f"{PEOPLE}{{a}}/person/act/disable/", f"{PEOPLE}{{a}}/person/token/{{t}}/revoke/"]  # fmt: skip
SAID = {"reason": "why not", "person": "bob", "role": "member", "cluster": "beta", "name": "bio", "label": "x",
        "days": "30"}  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def chem(alpha: Any, beta: Any, alice: Operator, bob: Operator, now: datetime) -> Project:
    return project_of(lead=alice, now=now)


@pytest.fixture
def ids(chem: Project, alice: Operator, now: datetime) -> dict[str, int]:
    change = Change(by=alice, now=now)
    mine = create_personal_token(wish=Wish(label="laptop"), change=change)
    service = create_project_token(project_id=chem.id, wish=Wish(label="portal"), change=change)
    return {"c": chem.id, "a": alice.user_id, "t": mine.credential.id, "p": service.credential.id}


@pytest.fixture
def olaf(db: None) -> Client:
    return signed_in("olaf", "operators", permissions=("change_project", "view_user", "change_user"))


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def state() -> tuple[Any, ...]:
    return (
        list(Project.objects.values_list("name", "shares_jobs", "closed_at")),
        sorted(Membership.objects.values_list("person__username", "role")),
        Credential.objects.filter(revoked_at__isnull=True).count(),
        User.objects.filter(is_active=False).count(),
    )


def test_a_project_is_made_filled_and_closed(alpha: Any, bob: Operator, olaf: Client) -> None:
    made = olaf.post(f"{PROJECTS}new/", {"name": "bio", "reason": "a new group"}, follow=True)
    page = made.redirect_chain[0][0]
    act = f"{page.removesuffix('change/')}act/"

    done = [
        messages(olaf.post(f"{act}{verb}/", {"reason": "they asked", **said}, follow=True))
        for verb, said in [
            ("add", {"person": "bob", "role": "lead"}), ("grant", {"cluster": "alpha"}), ("share", {}),
            ("share", {}), ("withdraw", {"cluster": "alpha"}), ("remove", {"person": "bob"}), ("close", {}),
        ]
    ]  # fmt: skip

    assert [text for texts in done for text in texts] == [
        "bio: took in bob.",
        "bio: granted alpha.",
        "bio: its jobs are seen by its members.",
        "bio was so before.",
        "bio: withdrew alpha.",
        "bio: let go bob.",
        "bio: closed.",
    ]
    assert {event.who for event in ProjectEvent.objects.all()} == {"olaf"}
    assert set(ProjectEvent.objects.exclude(what="made").values_list("why", flat=True)) == {"they asked"}
    log = [entry.change_message for entry in LogEntry.objects.order_by("id")]
    assert log[:2] == ["made: a new group", "took in bob: they asked"] and len(log) == 7
    assert "olaf took in bob as lead: they asked" in text_of(olaf, page)


@pytest.mark.parametrize(
    ("verb", "said", "shown"),
    [("add", {"person": "nobody", "role": "lead"}, "there is no person"), ("remove", {"person": "bob"}, "is no member"),
     ("grant", {"cluster": "none"}, "there is no cluster or pool"), ("withdraw", {"cluster": "beta"}, "may not use"),
     ("close", {"reason": ""}, "This field is required")],
)  # fmt: skip
def test_what_cannot_be_is_said_where_it_was_asked(
    chem: Project, olaf: Client, verb: str, said: dict[str, str], shown: str
) -> None:
    answer = olaf.post(f"{PROJECTS}{chem.id}/act/{verb}/", {"reason": "x", **said})

    assert (answer.status_code, shown in answer.content.decode()) == (200, True)


def test_a_project_token_is_shown_once_and_revoked(chem: Project, olaf: Client) -> None:
    said = {"label": "wall", "days": "30", "reason": "the plots"}

    made = olaf.post(f"{PROJECTS}{chem.id}/token/new/", said)

    value = re.search(r"rbp_[\w-]+", made.content.decode())
    assert value and "no-store" in made["Cache-Control"]
    assert Rest(value[0]).get("jobs").status_code == 200
    page = text_of(olaf, f"{PROJECTS}{chem.id}/change/")
    assert "wall" in page and value[0] not in page
    token = Credential.objects.get(label="wall")
    olaf.post(f"{PROJECTS}{chem.id}/token/{token.id}/revoke/", {"reason": "they left"})
    assert Rest(value[0]).get("jobs").status_code == 401


def test_a_person_is_disabled_and_let_in_again(alice: Operator, chem: Project, olaf: Client, now: datetime) -> None:
    token, browser = personal_token(alice, now=now), browser_of(alice)
    act = f"{PEOPLE}{alice.user_id}/person/act/"
    page = text_of(olaf, f"{PEOPLE}{alice.user_id}/person/")
    for shown in (page, text_of(olaf, f"{PROJECTS}{chem.id}/change/")):
        assert "<dt>Waiting jobs</dt><dd>0" in shown
    assert "chem" in page and "lead" in page and "laptop" in page and "Disable…" in page

    done = olaf.post(f"{act}disable/", {"reason": "left us"}, follow=True)

    assert messages(done) == ["alice is disabled."]
    assert browser.get("/my/jobs/")["Location"].startswith("/sign-in/")
    assert Rest(token).get("jobs").status_code == 401
    assert LogEntry.objects.latest("id").change_message == "disabled: left us"
    olaf.post(f"{act}enable/", {"reason": "came back"})
    assert Rest(token).get("jobs").status_code == 200


def test_nobody_disables_themselves_nor_a_superuser_without_being_one(olaf: Client) -> None:
    root = User.objects.create_superuser("root")
    own = User.objects.get(username="olaf")

    for person in (root, own):
        olaf.post(f"{PEOPLE}{person.pk}/person/act/disable/", {"reason": "mine"})

    assert not User.objects.filter(is_active=False).exists()


def test_an_operator_revokes_a_persons_token(alice: Operator, ids: dict[str, int], olaf: Client) -> None:
    page = f"{PEOPLE}{ids['a']}/person/"

    done = olaf.post(f"{page}token/{ids['t']}/revoke/", {"reason": "it leaked"}, follow=True)

    assert messages(done) == ["The token laptop is revoked."]
    assert Credential.objects.get(id=ids["t"]).revoked_at
    assert olaf.post(f"{page}token/{ids['p']}/revoke/", {"reason": "x"}).status_code == 404


@pytest.mark.parametrize("address", PAGES[:2])
def test_a_viewer_sees_projects_without_a_button(ids: dict[str, int], address: str) -> None:
    shown = text_of(signed_in("victor", "viewers"), address.format(**ids))

    assert "chem" in shown
    assert "/act/" not in shown and "/new/" not in shown and "/revoke/" not in shown


@pytest.mark.parametrize("group", ["viewers", "operators"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("address", ACTS)
def test_who_may_not_act_gets_403(ids: dict[str, int], address: str, method: str, group: str) -> None:
    """Operators need a permission of their own: who makes themselves a lead sees what a project's jobs run."""
    client, before = signed_in("victor", group), state()

    assert getattr(client, method)(address.format(**ids), SAID).status_code == 403
    assert state() == before


@pytest.mark.parametrize("address", [*PAGES, *ACTS])
def test_people_who_are_no_staff_are_sent_away(ids: dict[str, int], address: str, bob: Operator) -> None:
    before = state()

    for client in (browser_of(bob), Client()):
        for method in ("get", "post"):
            answer = getattr(client, method)(address.format(**ids), SAID)
            assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")
    assert state() == before


@pytest.mark.parametrize("address", ACTS)
def test_another_sites_page_cannot_act_in_an_operators_name(ids: dict[str, int], olaf: Client, address: str) -> None:
    client, before = Client(enforce_csrf_checks=True), state()
    client.cookies = olaf.cookies

    assert client.post(address.format(**ids), SAID).status_code == 403
    assert state() == before


@pytest.mark.parametrize("address", [*PAGES, *ACTS])
def test_labels_names_and_reasons_are_shown_and_not_obeyed(
    ids: dict[str, int], olaf: Client, chem: Project, alice: Operator, now: datetime, address: str
) -> None:
    evil = person_named("<script>alert(1)</script>")
    change = Change(by=alice, now=now, reason=EVIL[:200])
    add_member(project_id=chem.id, person=evil.name, change=change)
    create_project_token(project_id=chem.id, wish=Wish(label=EVIL.replace("\u2028", "")[-63:]), change=change)
    User.objects.filter(id=ids["a"]).update(username="<b>\u202ealice</b>")

    answer = olaf.get(address.format(**ids))
    page = Page(answer.content.decode())

    assert answer.status_code == 200
    # Django's own list of accounts has scripts of its own, from its own files.
    assert [danger for danger in page.dangers if "alert" in danger] == []
    assert address == PEOPLE or not [word for word in page.words if "\u202e" in word]


@pytest.mark.parametrize("address", [f"{PROJECTS}{9**20}/change/", f"{PROJECTS}{9**20}/act/close/",
                                     f"{PEOPLE}{9**20}/person/", f"{PROJECTS}{{c}}/token/{9**18}/revoke/"])  # fmt: skip
def test_what_is_not_there_is_404(ids: dict[str, int], olaf: Client, address: str) -> None:
    assert olaf.get(address.format(**ids)).status_code == 404


@pytest.mark.parametrize(("address", "most"), [(PAGES[0], 11), (PAGES[1], 15), (PAGES[2], 15), (PAGES[3], 13)])
def test_pages_take_as_many_queries_for_much_as_for_little(
    ids: dict[str, int], olaf: Client, chem: Project, alice: Operator, now: datetime, address: str, most: int
) -> None:
    for number in range(15):
        person = person_named(f"m{number}")
        project_of(person, alice, name=f"project-{number}", now=now)
        add_member(project_id=chem.id, person=person.name, change=Change(by=None, now=now))
        personal_token(alice, now=now, label=f"t{number}", clusters=("alpha",))
        wish = Wish(label=f"p{number}", clusters=("alpha",))
        create_project_token(project_id=chem.id, wish=wish, change=Change(by=alice, now=now))
    page = address.format(**ids)
    olaf.get(page)

    with CaptureQueriesContext(connection) as queries:
        assert olaf.get(page).status_code == 200

    assert len(queries) <= most, "\n".join(query["sql"][:150] for query in queries)
