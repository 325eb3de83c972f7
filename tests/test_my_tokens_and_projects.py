"""The pages of people for their tokens and projects: what leads may do, and that no one reaches another's."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.callers import Operator
from clusters.models import Credential, Membership, ProjectEvent, Role
from clusters.services.limits import limit_project
from clusters.services.personal_tokens import Wish, create_personal_token, create_project_token
from clusters.services.projects import NO_PERSON, Change, add_member, close_project
from tests.support.members import browser_of, person_named, personal_token, project_of, submitted_by
from tests.support.rest import Rest
from tests.test_hostile_text import EVIL, Page

TOKENS, PROJECTS = "/my/tokens/", "/my/projects/"
OF_LEADS = [f"{PROJECTS}chem/members/add/", f"{PROJECTS}chem/members/remove/?person=bob",
            f"{PROJECTS}chem/tokens/new/", f"{PROJECTS}chem/tokens/{{p}}/revoke/"]  # fmt: skip
ACTS = [f"{TOKENS}new/", f"{TOKENS}{{t}}/revoke/", *OF_LEADS]
PAGES = [TOKENS, PROJECTS, f"{PROJECTS}chem/", *ACTS]
SAID = {"label": "x", "days": "30", "person": "bob", "role": "member"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def chem(alpha: Any, beta: Any, alice: Operator, bob: Operator, now: datetime) -> Any:
    """Alice leads, bob is a member."""
    return project_of(bob, lead=alice, at=("alpha", "beta"), now=now)


@pytest.fixture
def ids(chem: Any, alice: Operator, now: datetime) -> dict[str, int]:
    """A token of alice and one of the project."""
    change = Change(by=alice, now=now)
    mine = create_personal_token(wish=Wish(label="laptop"), change=change)
    service = create_project_token(project_id=chem.id, wish=Wish(label="portal"), change=change)
    return {"t": mine.credential.id, "p": service.credential.id}


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def value_in(answer: Any) -> str:
    found = re.search(r"rb[up]_[\w-]+", answer.content.decode())
    assert found and "no-store" in answer["Cache-Control"]
    return found[0]


def live() -> set[str]:
    return set(Credential.objects.filter(revoked_at__isnull=True, cluster__isnull=True).values_list("label", flat=True))


def test_a_token_is_narrowed_shown_once_and_revoked(alice: Operator, chem: Any) -> None:
    browser = browser_of(alice)
    said = {"label": "ci", "days": "7", "project": "chem", "clusters": ["beta"], "reads_only": "on"}

    value = value_in(browser.post(f"{TOKENS}new/", said))

    token = Credential.objects.get(label="ci")
    assert (token.person_id, token.reads_only, str(token.project)) == (alice.user_id, True, "chem")
    assert [scope.cluster.name for scope in token.scopes.all()] == ["beta"]
    assert (token.expires_at - token.created_at).days == 7
    assert [one["name"] for one in Rest(value).get("clusters").json()] == ["beta"]
    shown = text_of(browser, TOKENS)
    assert "ci" in shown and "chem, at beta" in shown and value not in shown
    browser.post(f"{TOKENS}{token.id}/revoke/", {"reason": "lost"})
    assert Rest(value).get("clusters").status_code == 401
    assert ">ci<" not in text_of(browser, TOKENS)


def test_what_is_told_once_shows_the_label_as_it_is(alice: Operator, chem: Any) -> None:
    browser = browser_of(alice)
    browser.post(f"{TOKENS}new/", {"label": "gnp.\u202ejs<b>", "days": "7", "reads_only": "on"})
    token = Credential.objects.get(label__startswith="gnp")

    page = browser.post(f"{TOKENS}{token.id}/revoke/", {"reason": "lost"}, follow=True).content.decode()

    assert "The token gnp.\\u202ejs&lt;b&gt; is revoked." in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("said", "shown"),
    [({"label": ""}, "This field is required"), ({"label": "laptop"}, "a token has this label"),
     ({"days": "400"}, "Select a valid choice"), ({"project": "bio"}, "Select a valid choice"),
     ({"clusters": ["gamma"]}, "Select a valid choice"), ({"label": "a\tb"}, "label")],
)  # fmt: skip
def test_a_token_that_cannot_be_is_refused_and_said(
    alice: Operator, ids: dict[str, int], said: dict[str, Any], shown: str
) -> None:
    answer = browser_of(alice).post(f"{TOKENS}new/", {"label": "new", "days": "30", **said})

    assert shown in answer.content.decode() and answer.status_code == 200
    assert Credential.objects.filter(person_id=alice.user_id).count() == 1


def test_another_persons_token_is_not_there(alice: Operator, bob: Operator, ids: dict[str, int]) -> None:
    for method in ("get", "post"):
        for id in (ids["t"], ids["p"], 987_654, 9**20):
            assert getattr(browser_of(bob), method)(f"{TOKENS}{id}/revoke/").status_code == 404
    assert "laptop" not in text_of(browser_of(bob), TOKENS)
    assert live() == {"laptop", "portal"}


def test_members_see_the_project_and_act_on_nothing(bob: Operator, ids: dict[str, int]) -> None:
    browser = browser_of(bob)

    shown = text_of(browser, f"{PROJECTS}chem/")

    assert "alice" in shown and "lead" in shown and "beta" in shown
    assert "portal" not in shown and "Remove" not in shown and shown.count('method="post"') == 1
    for address in OF_LEADS:
        for method in ("get", "post"):
            assert getattr(browser, method)(address.format(**ids), SAID).status_code == 403, address
    assert live() == {"laptop", "portal"}
    assert Membership.objects.count() == 2


@pytest.mark.parametrize("address", [f"{PROJECTS}chem/", *OF_LEADS])
def test_another_project_is_not_there(ids: dict[str, int], address: str, now: datetime, chem: Any) -> None:
    mallory = browser_of(person_named("mallory"))
    page = address.format(**ids)
    nowhere = page.replace("chem", "none")

    posts = [mallory.post(one, SAID).status_code for one in (page, nowhere)]
    assert [mallory.get(one).status_code for one in (page, nowhere)] == [404, 404]
    assert posts == ([405, 405] if page == f"{PROJECTS}chem/" else [404, 404])
    assert "chem" not in text_of(mallory, PROJECTS)
    assert live() == {"laptop", "portal"}


def test_a_project_tells_its_limits_and_what_there_is(alice: Operator, chem: Any, now: datetime) -> None:
    limit_project(project_id=chem.id, wanted={"waiting": 5_000}, change=Change(by=None, now=now))
    submitted_by(alice, 2, now=now)

    shown = text_of(browser_of(alice), f"{PROJECTS}chem/")

    assert "<dt>Waiting jobs</dt><dd>2 of at most 5,000</dd>" in shown


def test_a_closed_project_is_not_there(alice: Operator, chem: Any, now: datetime) -> None:
    close_project(project_id=chem.id, change=Change(by=None, now=now))

    assert browser_of(alice).get(f"{PROJECTS}chem/").status_code == 404
    assert "You are in no project" in text_of(browser_of(alice), PROJECTS)


def test_a_lead_takes_people_in_and_lets_them_go(alice: Operator, chem: Any) -> None:
    carol, browser = person_named("carol"), browser_of(alice)
    page = f"{PROJECTS}chem/"

    added = browser.post(f"{page}members/add/", {"person": "carol", "role": "lead"}, follow=True)
    unknown = browser.post(f"{page}members/add/", {"person": "nobody", "role": "member"}, follow=True)
    wrong = browser.post(f"{page}members/add/", {"person": "", "role": "king"}, follow=True)
    browser.post(f"{page}members/remove/", {"person": "bob", "reason": "left us"})

    assert [[str(one) for one in answer.context["messages"]] for answer in (added, unknown, wrong)] == [
        ["carol is in chem as lead."],
        [f"person: there is no person 'nobody'; {NO_PERSON}"],
        ["Say who, and whether as member or lead."],
    ]
    assert dict(Membership.objects.values_list("person__username", "role")) == {"alice": "lead", "carol": Role.LEAD}
    assert ProjectEvent.objects.latest("id").who == "alice"
    assert "alice let go bob: left us" in text_of(browser_of(carol), page)
    assert browser.post(f"{page}members/remove/", {"person": "alice"})["Location"] == PROJECTS
    assert browser.get(page).status_code == 404


@pytest.mark.parametrize("person", ["", "nobody", "%00", "x" * 3_000, "%ff"])
def test_one_who_is_no_member_is_not_there(alice: Operator, chem: Any, person: str) -> None:
    assert browser_of(alice).get(f"{PROJECTS}chem/members/remove/?person={person}").status_code == 404


def test_a_lead_makes_and_revokes_tokens_of_the_project(alice: Operator, chem: Any) -> None:
    browser = browser_of(alice)

    value = value_in(
        browser.post(f"{PROJECTS}chem/tokens/new/", {"label": "portal", "days": "30", "clusters": "alpha"})
    )

    assert value.startswith("rbp_")
    assert [one["name"] for one in Rest(value).get("clusters").json()] == ["alpha"]
    shown = text_of(browser, f"{PROJECTS}chem/")
    assert "portal" in shown and value not in shown and "alice made chem (portal)" in shown
    browser.post(f"{PROJECTS}chem/tokens/{Credential.objects.get(label='portal').id}/revoke/")
    assert Rest(value).get("clusters").status_code == 401


def test_a_lead_does_not_revoke_what_is_another_projects(
    alice: Operator, bob: Operator, chem: Any, now: datetime
) -> None:
    bio = project_of(lead=bob, name="bio", now=now)
    new = create_project_token(project_id=bio.id, wish=Wish(label="x"), change=Change(by=bob, now=now))
    narrowed = personal_token(bob, project="chem", now=now, label="y")

    for id in (new.credential.id, Credential.objects.get(label="y").id):
        assert browser_of(alice).post(f"{PROJECTS}chem/tokens/{id}/revoke/").status_code == 404
    assert Rest(narrowed).get("jobs").status_code == 200


@pytest.mark.parametrize("address", ACTS)
def test_another_sites_page_cannot_act_in_a_persons_name(alice: Operator, ids: dict[str, int], address: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies = browser_of(alice).cookies

    assert client.post(address.format(**ids), SAID).status_code == 403
    assert live() == {"laptop", "portal"}
    assert Membership.objects.count() == 2


@pytest.mark.parametrize("address", PAGES)
def test_strangers_are_asked_to_sign_in(ids: dict[str, int], address: str) -> None:
    for method in ("get", "post"):
        answer = getattr(Client(), method)(address.format(**ids))
        assert answer.status_code == 405 or answer["Location"].startswith("/sign-in/?next=/my/")


def test_labels_names_and_reasons_are_shown_and_not_obeyed(alice: Operator, chem: Any, now: datetime) -> None:
    evil = person_named("<script>alert(1)</script>")
    label = EVIL.replace("\u2028", "")[-63:]
    change = Change(by=alice, now=now, reason=EVIL[:200])
    add_member(project_id=chem.id, person=evil.name, change=change)
    mine = create_personal_token(wish=Wish(label=label), change=change).credential
    create_project_token(project_id=chem.id, wish=Wish(label=label), change=change)
    browser = browser_of(alice)

    removal = f"{PROJECTS}chem/members/remove/?person=%3Cscript%3Ealert(1)%3C/script%3E"
    for address in (TOKENS, f"{TOKENS}{mine.id}/revoke/", PROJECTS, f"{PROJECTS}chem/", removal):
        answer = browser.get(address)
        page = Page(answer.content.decode())
        assert (answer.status_code, page.dangers) == (200, []), address
        assert not [word for word in page.words if "\u202e" in word]


@pytest.mark.parametrize(
    ("address", "most"), [(TOKENS, 9), (f"{TOKENS}new/", 8), (PROJECTS, 8), (f"{PROJECTS}chem/", 15)]
)
def test_pages_take_as_many_queries_for_much_as_for_little(
    alice: Operator, ids: dict[str, int], chem: Any, now: datetime, address: str, most: int
) -> None:
    change = Change(by=alice, now=now)
    for number in range(20):
        personal_token(alice, now=now, label=f"t{number}", clusters=("alpha", "beta"))
        create_project_token(project_id=chem.id, wish=Wish(label=f"p{number}", clusters=("beta",)), change=change)
        add_member(project_id=chem.id, person=person_named(f"m{number}").name, change=change)
        project_of(alice, name=f"project-{number}", now=now)
    browser = browser_of(alice)
    browser.get(address)

    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200

    assert len(queries) <= most, "\n".join(query["sql"][:150] for query in queries)
