"""What a provider, or one who pretends to be it, may say, and who is let in by that."""

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from clusters.models import FailedAttempts
from rainbow_site.models import Identity
from tests.support.console import PASSWORD
from tests.support.false_provider import OTHER_KEY, FalseProvider
from tests.support.sign_in_cast import begin, come_back, is_signed_in, provider, sign_in

ELSEWHERE = "https://elsewhere.example.org"
__all__ = ["provider"]


def test_a_member_signs_in_and_is_no_staff(provider: FalseProvider) -> None:
    client = Client()

    answer = sign_in(provider, client)

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    ada = User.objects.get()
    assert (ada.username, ada.is_staff, ada.is_superuser, ada.email) == ("ada", False, False, "")
    assert is_signed_in(client)
    assert not ada.has_usable_password()


PAST = int(timezone.now().timestamp()) - 3_600


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": ELSEWHERE},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another-client"},
    "no audience": {"aud": None},
    "for another client": {"aud": ["rainbow", "another"], "azp": "another"},
    "expired": {"exp": PAST},
    "no expiry": {"exp": None},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a long subject": {"sub": "s" * 256, "info": {"sub": "s" * 256}},
    "another subject than the info's": {"sub": "s-2"},
    "another nonce": {"nonce": "of-another-sign-in"},
    "another key": {"key": OTHER_KEY},
    "no signature": {"key": None, "algorithm": "none"},
    "signed with a password": {"key": "only-for-the-tests-and-long-enough-for-hs256", "algorithm": "HS256"},
    "an info that is a list": {"info": []},
    "an info that is a page": {"info": "<html>"},
    "an info whose subject is a number": {"info": {"sub": 1}},
}


@pytest.mark.parametrize("claims", WRONG.values(), ids=WRONG)
def test_an_id_token_that_is_not_right_lets_no_one_in(provider: FalseProvider, claims: dict[str, Any]) -> None:
    client = Client()

    answer = sign_in(provider, client, **claims)

    assert answer.status_code == 502
    assert not is_signed_in(client)
    assert not User.objects.exists()
    page = answer.content.decode()
    assert "could not be used" in page
    assert "eyJ" not in page and "at-only" not in page and provider.issuer not in page.split("<body", 1)[1]


@pytest.mark.parametrize("answer", [None, "", "[]", "{}", "not json", {"id_token": 7}, {"id_token": "a.b.c"}], ids=str)
def test_an_answer_that_is_none_becomes_a_page(provider: FalseProvider, answer: Any) -> None:
    client = Client()
    words = begin(client)
    provider.answers["/token"] = answer

    assert come_back(client, words["state"]).status_code == 502
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "change", [{"issuer": ELSEWHERE}, {"token_endpoint": None}, {"authorization_endpoint": "ftp://x"}], ids=str
)
def test_a_discovery_document_has_to_be_of_the_issuer_and_complete(provider: FalseProvider, change: Any) -> None:
    provider.answers["/.well-known/openid-configuration"] |= change

    assert Client().get("/oidc/authenticate/").status_code == 502


def test_a_provider_that_is_away_keeps_local_accounts_in(provider: FalseProvider, settings: Any) -> None:
    settings.RAINBOW_OIDC_ISSUER = "http://127.0.0.1:9"
    User.objects.create_user("loka", password=PASSWORD, is_staff=True)
    client = Client()

    assert client.get("/oidc/authenticate/").status_code == 502
    assert client.post("/admin/login/", {"username": "loka", "password": PASSWORD}).status_code == 302
    assert client.get("/admin/").status_code == 200


# Whose sign-in it is


@pytest.mark.parametrize("state", ["", "another"])
def test_a_code_that_this_browser_did_not_ask_for_is_not_even_tried(provider: FalseProvider, state: str) -> None:
    client = Client()
    begin(client)
    before = len(provider.asked)

    assert come_back(client, state).status_code == 400
    assert len(provider.asked) == before


def test_a_code_counts_once(provider: FalseProvider) -> None:
    client = Client()
    words = begin(client)
    provider.tells(words["nonce"])

    assert come_back(client, words["state"]).status_code == 302
    assert come_back(client, words["state"]).status_code == 400


def test_a_link_of_another_site_signs_no_one_out(provider: FalseProvider) -> None:
    client = Client()
    sign_in(provider, client)

    assert client.get("/oidc/callback/", {"error": "x"}).status_code == 400
    assert client.get("/oidc/callback/", {"error": "x", "state": "y"}).status_code == 400
    assert is_signed_in(client)


def test_the_form_for_passwords_takes_no_code(provider: FalseProvider) -> None:
    provider.tells("")
    client = Client()

    client.post("/admin/login/?code=c&state=s", {"username": "a", "password": "b"})

    assert "/token" not in provider.asked
    assert not is_signed_in(client)


@pytest.mark.parametrize("then", ["https://evil.example.org/", "//evil.example.org/", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(provider: FalseProvider, then: str) -> None:
    client = Client()
    words = begin(client, then)
    provider.tells(words["nonce"])

    assert come_back(client, words["state"])["Location"] == "/"


def test_a_member_comes_back_to_the_page_that_approves_a_command_line(provider: FalseProvider) -> None:
    client = Client()
    asked = client.get("/login/BBBB-BBBB")["Location"]
    assert b'href="/oidc/authenticate/?next=%2Flogin%2FBBBB-BBBB"' in client.get(asked).content
    assert b'href="/oidc/authenticate/?next=%2F"' in client.get("/sign-in/").content
    words = begin(client, "/login/BBBB-BBBB")
    provider.tells(words["nonce"])

    assert come_back(client, words["state"])["Location"] == "/login/BBBB-BBBB"
    assert urlsplit(client.post("/sign-out/")["Location"]).path == "/end"
    assert not is_signed_in(client)
    words = begin(client, "/login/BBBB-BBBB")
    refused = client.get("/oidc/callback/", {"error": "access_denied", "state": words["state"]})
    assert refused["Location"] == "/sign-in/?next=%2Flogin%2FBBBB-BBBB"


# Which account it is


def test_only_the_subject_finds_an_account_whatever_its_name(provider: FalseProvider) -> None:
    sign_in(provider)

    sign_in(provider, preferred_username="eve")
    sign_in(provider, sub="s-2", info={"sub": "s-2"})

    assert sorted(User.objects.values_list("username", flat=True)) == ["ada", "ada-2"]
    assert Identity.objects.get(subject="s-1").person.username == "ada"


@pytest.mark.parametrize("name", ["loka", "LOKA", "lökà"])
def test_a_name_of_a_local_account_takes_nothing_over(provider: FalseProvider, name: str) -> None:
    loka = User.objects.create_superuser("loka")
    client = Client()

    sign_in(provider, client, preferred_username=name, email="loka@example.org")

    assert int(client.session["_auth_user_id"]) != loka.pk
    assert not Identity.objects.filter(person=loka).exists()


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("Ada L", "Ada-L"),
        ("<b>", "b"),
        ("", "person"),
        (7, "person"),
        ("\N{CYRILLIC SMALL LETTER O}", "person"),
        ("x" * 500, "x" * 60),
    ],
)
def test_an_account_has_a_plain_name(provider: FalseProvider, name: Any, account: str) -> None:
    sign_in(provider, preferred_username=name)

    assert User.objects.get().username == account


@pytest.mark.parametrize("groups", [None, [], "hpc", ["HPC-USERS"], [["hpc-users"]], {"hpc-users": 1}, 7], ids=str)
def test_without_a_group_of_ours_there_is_no_account(provider: FalseProvider, groups: Any) -> None:
    answer = sign_in(provider, groups=groups)

    assert answer.status_code == 403
    assert not User.objects.exists()


def test_everybody_may_be_a_member_but_not_an_operator(provider: FalseProvider, settings: Any) -> None:
    settings.RAINBOW_OIDC_MEMBERS = settings.RAINBOW_OIDC_OPERATORS = ["*"]

    assert sign_in(provider, groups=None).status_code == 302
    assert not User.objects.get().is_staff


def test_groups_given_here_stay_whatever_the_provider_says(provider: FalseProvider) -> None:
    sign_in(provider, groups=["hpc-admins"])
    ada = User.objects.get()
    own = ada.groups.create(name="sees content")

    sign_in(provider, groups="hpc-support")

    ada.refresh_from_db()
    assert ada.is_staff
    assert set(ada.groups.values_list("name", flat=True)) == {"viewers", own.name}


# For how long, and how often


def test_a_session_has_an_end_however_much_it_is_used(provider: FalseProvider, settings: Any) -> None:
    settings.RAINBOW_SESSION_SECONDS = 1_000
    client = Client()
    sign_in(provider, client)
    first = client.session.get_expiry_date()

    words = begin(client)
    provider.tells(words["nonce"])
    come_back(client, words["state"])

    assert client.session.get_expiry_date() == first
    assert first <= timezone.now() + timedelta(seconds=1_000)


def test_a_session_that_is_not_renewed_ends_for_programs_and_forms_too(provider: FalseProvider) -> None:
    client = Client()
    sign_in(provider, client, groups=["hpc-admins"])
    assert client.get("/api/v1/clusters").status_code == 200
    session = client.session
    session["oidc_id_token_expiration"] = 0
    session.save()

    from_script = client.get("/admin/", HTTP_X_REQUESTED_WITH="XMLHttpRequest")
    as_page = client.get("/admin/?a=1")

    assert (from_script.status_code, from_script["X-Rainbow-Sign-In"]) == (403, "renew")
    assert as_page["Location"] == "/oidc/authenticate/?renew=1&next=%2Fadmin%2F%3Fa%3D1"
    assert "prompt=none" in client.get(as_page["Location"])["Location"]
    assert client.get("/api/v1/clusters").status_code in (401, 403)
    assert not is_signed_in(client)


def test_sign_ins_that_fail_are_few_in_a_minute(provider: FalseProvider, settings: Any) -> None:
    settings.RAINBOW_GUESSES = 3
    for _ in range(3):
        assert sign_in(provider, aud="another-client").status_code == 502
    before = len(provider.asked)

    answer = sign_in(provider)

    assert (answer.status_code, "Retry-After" in answer) == (429, True)
    assert len(provider.asked) == before
    FailedAttempts.objects.update(began_at=timezone.now() - timedelta(hours=1))
    assert sign_in(provider).status_code == 302
    assert sign_in(provider).status_code == 302


def test_signing_out_ends_the_session_there_too(provider: FalseProvider) -> None:
    client = Client()
    sign_in(provider, client)

    there = urlsplit(client.post("/admin/logout/")["Location"])

    assert there.path == "/end"
    assert parse_qs(there.query)["post_logout_redirect_uri"] == ["http://testserver/admin/login/"]
    assert not is_signed_in(client)
    assert client.get("/admin/logout/").status_code == 405


def test_forms_may_lead_to_the_provider_alone(provider: FalseProvider) -> None:
    policy = Client().get("/admin/login/")["Content-Security-Policy"]

    assert policy.endswith(f"form-action 'self' {provider.issuer}")


def test_the_log_says_why_and_no_credential(
    provider: FalseProvider, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("rainbow"), "propagate", True)
    caplog.set_level(logging.INFO, "rainbow.http")

    sign_in(provider, aud="another-client")
    sign_in(provider, groups=[])
    sign_in(provider)

    lines = [record.getMessage() for record in caplog.records if "provider=" in record.getMessage()]
    assert [line.split(" peer=")[0] for line in lines] == [
        "provider failed",
        "sign-in refused",
        "signed in account='ada'",
    ]
    assert "InvalidAudienceError" in lines[0]
    assert "None of your groups" in lines[1]
    assert "eyJ" not in caplog.text and "at-only" not in caplog.text and "only-for-the-tests" not in caplog.text
