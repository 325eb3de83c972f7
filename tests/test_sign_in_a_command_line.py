"""The pages on which people approve what `rainbow login` asks for, and sign in for that."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from clusters.models import Credential, Login
from clusters.services.logins import LIFE, LoginState, NewLogin, begin_login, collect_login
from clusters.services.throttle import ACCOUNT_GUESSES, CODE_GUESSES
from rainbow.errors import NotFound
from rainbow_site.console import password_hashing
from tests.support.console import PASSWORD, window_is_over

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def browser(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, but not a million times over."""
    monkeypatch.setattr(password_hashing.OneByOneHasher, "iterations", 10)


def begun(label: str = "laptop", days: int = 7) -> NewLogin:
    return begin_login(label=label, days=days, address="192.0.2.7", now=timezone.now())


def page_of(login: NewLogin) -> str:
    return f"/login/{login.code}"


def state_of(login: NewLogin) -> LoginState:
    return collect_login(value=login.value, now=timezone.now()).state


# Deciding


def test_a_person_sees_what_asks_for_what_and_approves_it_once(
    browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    before, login = timezone.now(), begun()

    page = browser.get(page_of(login))

    text = page.content.decode()
    for shown in (login.code, "laptop", "192.0.2.7", "alice", "7 days"):
        assert shown in text
    for ahead in (timedelta(), timedelta(days=7)):
        # Midnight may have passed meanwhile.
        assert any(f"{moment + ahead:%Y-%m-%d}" in text for moment in (before, timezone.now()))
    assert (page.status_code, page["Referrer-Policy"]) == (200, "same-origin")
    assert "no-store" in page["Cache-Control"]
    assert state_of(login) == LoginState.PENDING, "a look decides nothing"
    with caplog.at_level(logging.INFO, logger="rainbow.http"):
        done = browser.post(page_of(login), {"decision": "approve"}, follow=True)
    assert done.redirect_chain == [("/login/", 302)]
    assert "laptop will be signed in as alice" in done.content.decode()
    assert "command line approved account='alice'" in caplog.text
    assert browser.post(page_of(login), {"decision": "deny"}).status_code == 404
    collected = collect_login(value=login.value, now=timezone.now())
    assert collected.token and str(collected.token.credential.person) == "alice"


def test_a_person_denies_it(browser: Client) -> None:
    login = begun()

    done = browser.post(page_of(login), {"decision": "deny"}, follow=True)

    assert "laptop was denied" in done.content.decode()
    assert browser.post(page_of(login), {"decision": "approve"}).status_code == 404
    assert state_of(login) == LoginState.DENIED


def test_what_a_person_approved_who_is_disabled_by_now_gets_no_token(browser: Client, alice: User) -> None:
    """Also not later, when the account is enabled again: its other tokens may have been revoked meanwhile."""
    login = begun()
    browser.post(page_of(login), {"decision": "approve"})
    User.objects.filter(id=alice.id).update(is_active=False)

    assert state_of(login) == LoginState.DENIED

    User.objects.filter(id=alice.id).update(is_active=True)
    with pytest.raises(NotFound):
        state_of(login)
    assert not Credential.objects.filter(person=alice).exists()


@pytest.mark.parametrize("form", [{}, {"decision": "maybe"}])
def test_another_decision_is_none(browser: Client, form: dict[str, str]) -> None:
    login = begun()

    assert browser.post(page_of(login), form).status_code == 200
    assert state_of(login) == LoginState.PENDING


def test_unknown_expired_and_decided_codes_look_the_same(browser: Client) -> None:
    late, decided = begun(), begun()
    Login.objects.filter(code=late.code).update(expires_at=timezone.now() - LIFE)
    browser.post(page_of(decided), {"decision": "approve"})
    browser.get("/login/")

    answers = [browser.get(path) for path in ("/login/BBBB-BBBB", page_of(late), page_of(decided), "/login/%00")]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content.split(b'<div id="content"')[1] for answer in answers}) == 1


def test_a_code_is_entered_by_hand(browser: Client) -> None:
    login = begun()
    assert b'name="code"' in browser.get("/login", follow=True).content

    page = browser.post("/login/", {"code": f" {login.code.lower().replace('-', ' ')} "}, follow=True)

    assert (page.status_code, login.code in page.content.decode()) == (200, True)
    assert browser.post("/login/", {"code": "../admin/"}, follow=True).status_code == 404


def test_labels_are_shown_and_not_obeyed(browser: Client) -> None:
    page = browser.get(page_of(begun("<script>alert(1)</script>"))).content.decode()

    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_other_sites_decide_nothing(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    login = begun()

    assert client.post(page_of(login), {"decision": "approve"}).status_code == 403
    assert state_of(login) == LoginState.PENDING


def test_a_person_guesses_ten_codes_a_minute_and_others_are_not_kept_out(browser: Client) -> None:
    login = begun()
    for _ in range(CODE_GUESSES + 1):
        assert browser.get(page_of(login)).status_code == 200, "right codes do not count"
    for _ in range(CODE_GUESSES):
        assert browser.get("/login/BBBB-BBBB").status_code == 404
    other = Client()
    other.force_login(User.objects.create_user("bob"))

    blocked = [browser.get(page_of(login)), browser.post(page_of(login), {"decision": "approve"})]

    assert [answer.status_code for answer in blocked] == [429, 429]
    assert 0 < int(blocked[0]["Retry-After"]) <= 60
    assert other.get(page_of(login)).status_code == 200
    window_is_over()
    assert browser.get(page_of(login)).status_code == 200


# Signing in for it


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_is_not_signed_in_signs_in_and_comes_back(quick: None, alice: User, method: str) -> None:
    alice.set_password(PASSWORD)
    alice.save()
    login, client = begun(), Client()

    asked = getattr(client, method)(page_of(login))

    assert asked["Location"] == f"/sign-in/?next={page_of(login)}"
    assert state_of(login) == LoginState.PENDING
    assert b'id="login-form"' in client.get(asked["Location"]).content
    back = client.post(asked["Location"], {"username": "alice", "password": PASSWORD})
    assert back["Location"] == page_of(login)
    assert client.get(back["Location"]).status_code == 200
    assert client.get("/sign-in/?next=/sign-in/")["Location"] == "/"
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get(page_of(login)).status_code == 302


@pytest.mark.parametrize("target", ["", "//evil.example.org/", "https://evil.example.org/", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(browser: Client, target: str) -> None:
    assert browser.get("/sign-in/", {"next": target})["Location"] == "/"


def test_passwords_are_throttled_as_the_operators_are(quick: None, alice: User) -> None:
    alice.set_password(PASSWORD)
    alice.save()
    client = Client()

    def tried(password: str) -> Any:
        return client.post("/sign-in/", {"username": "alice", "password": password})

    assert {tried("wrong").status_code for _ in range(ACCOUNT_GUESSES)} == {200}
    blocked = tried(PASSWORD)
    assert (blocked.status_code, "Too many wrong passwords" in blocked.content.decode()) == (429, True)
    assert 0 < int(blocked["Retry-After"]) <= 60


def test_a_disabled_person_approves_nothing(browser: Client, alice: User) -> None:
    login = begun()
    User.objects.filter(id=alice.id).update(is_active=False)

    assert browser.post(page_of(login), {"decision": "approve"})["Location"].startswith("/sign-in/")
    assert state_of(login) == LoginState.PENDING
