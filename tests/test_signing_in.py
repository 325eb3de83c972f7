"""Signing in to the operators' console: where it leads, and how few passwords can be tried."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from clusters.models import FailedAttempts
from clusters.services.throttle import ACCOUNT_GUESSES
from rainbow_site.console import password_hashing, signing_in
from rainbow_site.console.password_hashing import MOST_IN_LINE
from tests.support.console import HOME, PASSWORD, try_password, window_is_over
from tests.support.rest import Rest, problem_in

ELSEWHERE, IPV6 = "198.51.100.9", "2001:db8:1:2::{}"
LIMIT = 30


@pytest.fixture
def vera(db: None) -> User:
    return User.objects.create_user("vera", password=PASSWORD, is_staff=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as always, but not a million times over."""
    monkeypatch.setattr(password_hashing.OneByOneHasher, "iterations", 10)


# Where it leads


@pytest.mark.parametrize("target", ["", "//evil.example.org/", "https://evil.example.org/", "javascript:alert(1)"])
def test_signing_in_leads_to_the_dashboard_unless_to_a_page_of_ours(quick: None, vera: User, target: str) -> None:
    client = Client()

    answer = client.post("/admin/login/", {"username": "vera", "password": PASSWORD, "next": target})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    home = client.get("/")
    assert (home.status_code, home["Location"]) == (302, "/admin/")
    assert client.get(home["Location"]).status_code == 200


def test_signing_in_leads_back_to_the_page_that_asked_for_it(quick: None, vera: User) -> None:
    client = Client()
    asked = client.get("/admin/jobs/job/?state=failed")

    answer = client.post(asked["Location"], {"username": "vera", "password": PASSWORD})

    assert answer["Location"] == "/admin/jobs/job/?state=failed"


# How many passwords can be tried


def test_an_account_has_five_guesses_a_minute_from_an_address_and_its_owner_elsewhere_signs_in(
    quick: None, vera: User
) -> None:
    answers = [try_password("vera", f"wrong-{number}") for number in range(ACCOUNT_GUESSES)]
    right_too_late, elsewhere = try_password("vera", PASSWORD), try_password("vera", PASSWORD, address=ELSEWHERE)

    assert {answer.status_code for answer in answers} == {200}
    assert right_too_late.status_code == 429
    assert 1 <= int(right_too_late["Retry-After"]) <= 60
    assert "even the right one has to wait" in right_too_late.content.decode()
    assert elsewhere.status_code == 302, "who guesses must not keep the owner out"

    window_is_over()
    assert try_password("vera", PASSWORD).status_code == 302


def test_an_address_has_thirty_guesses_a_minute_for_all_accounts_together(quick: None, vera: User) -> None:
    answers = [try_password(f"account-{number}", "summer-2026") for number in range(LIMIT)]

    assert {answer.status_code for answer in answers} == {200}
    assert try_password("vera", PASSWORD).status_code == 429
    assert try_password("vera", PASSWORD, address=ELSEWHERE).status_code == 302


def test_a_network_of_ipv6_is_one_address(quick: None, vera: User) -> None:
    for number in range(ACCOUNT_GUESSES):
        try_password("vera", "wrong", address=IPV6.format(number))

    assert try_password("vera", PASSWORD, address=IPV6.format("ffff")).status_code == 429


def test_right_passwords_use_up_no_guesses(quick: None, vera: User) -> None:
    for _ in range(LIMIT + 1):
        assert try_password("vera", PASSWORD).status_code == 302


def test_a_right_password_between_wrong_ones_opens_no_further_guesses_at_others(quick: None, vera: User) -> None:
    """An account of one's own must not reset what its address did to others."""
    for number in range(LIMIT):
        assert try_password(f"account-{number}", "summer-2026").status_code == 200
        if number < LIMIT - 1:
            assert try_password("vera", PASSWORD).status_code == 302

    assert try_password("account-0", "summer-2026").status_code == 429


def test_guesses_while_their_address_is_blocked_do_not_prolong_that(quick: None, vera: User) -> None:
    for _ in range(ACCOUNT_GUESSES + 20):
        try_password("vera", "wrong")

    assert max(FailedAttempts.objects.values_list("failures", flat=True)) == ACCOUNT_GUESSES


def test_a_blocked_password_is_not_even_hashed(quick: None, vera: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(ACCOUNT_GUESSES):
        try_password("vera", "wrong")
    monkeypatch.setattr(password_hashing.OneByOneHasher, "encode", lambda *args: pytest.fail("a password was hashed"))

    assert try_password("vera", PASSWORD).status_code == 429


def test_a_session_that_was_left_open_is_no_place_to_guess_its_password(quick: None, vera: User) -> None:
    client = Client(REMOTE_ADDR=HOME)
    client.force_login(vera)
    new = {"new_password1": "another-one-2026", "new_password2": "another-one-2026"}

    def change(old: str) -> Any:
        return client.post("/admin/password_change/", {"old_password": old, **new}, follow=True).content.decode()

    for number in range(ACCOUNT_GUESSES):
        assert "Your old password was entered incorrectly" in change(f"wrong-{number}")
    assert "even the right one has to wait" in change(PASSWORD)
    window_is_over()
    assert "Your password was changed" in change(PASSWORD)


# Other doors


@pytest.mark.parametrize("path", ["jobs", "clusters", "clusters/alpha/credentials"])
def test_rest_takes_no_passwords(vera: User, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(password_hashing.OneByOneHasher, "encode", lambda *args: pytest.fail("a password was hashed"))

    answer = Rest().get(path, Authorization="Basic dmVyYTpvbmx5LWZvci10aGUtdGVzdHM=")

    assert answer.status_code == 401
    problem_in(answer)


# What the log says


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("rainbow"), "propagate", True)
    caplog.set_level(logging.INFO, "rainbow.http")
    return caplog


def about_signing_in(said: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in said.records if "account=" in record.getMessage()]


def test_the_log_says_who_tried_from_where_and_how_it_went(
    quick: None, vera: User, said: pytest.LogCaptureFixture
) -> None:
    User.objects.create_user("carl", password=PASSWORD)
    for password in ("wrong", PASSWORD):
        try_password("vera", password)
    try_password("carl", PASSWORD, address=ELSEWHERE)
    for _ in range(ACCOUNT_GUESSES + 1):
        try_password("nobody", "wrong", address=ELSEWHERE)

    assert about_signing_in(said)[:4] == [
        "sign-in refused account='vera' peer=192.0.2.1",
        "signed in account='vera' peer=192.0.2.1",
        "sign-in refused, not of the staff account='carl' peer=198.51.100.9",
        "sign-in refused account='nobody' peer=198.51.100.9",
    ]
    assert about_signing_in(said)[-1] == "sign-in throttled account='nobody' peer=198.51.100.9"
    assert PASSWORD not in said.text and "wrong" not in said.text


@pytest.mark.parametrize(
    "account",
    [
        "eve\n2026-11-27 INFO signed in account='vera'",
        "eve\x1b[2J",
        "e" * 150,
        "eve\u202e",
        "rbs_" + "a" * 32,
        "ev\r\ne",
    ],
)
def test_what_is_typed_as_an_account_takes_one_short_line(
    quick: None, db: None, said: pytest.LogCaptureFixture, account: str
) -> None:
    try_password(account, "wrong")

    (line,) = about_signing_in(said)
    assert line.isprintable()
    assert len(line) < 160
    assert "rbs_" not in line


# How much of the machine it takes


@pytest.mark.parametrize("early", [True, False], ids=["before it is counted", "after it is counted"])
def test_a_password_that_would_wait_too_long_is_sent_away_and_costs_no_guess(
    quick: None, vera: User, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not early:
        monkeypatch.setattr(signing_in, "check_line", lambda: None)
    for _ in range(MOST_IN_LINE):
        assert password_hashing._LINE.acquire(blocking=False)
    try:
        away = try_password("vera", PASSWORD)
        changing = Client()
        changing.force_login(vera)
        also = changing.post("/admin/password_change/", {"old_password": PASSWORD})
    finally:
        for _ in range(MOST_IN_LINE):
            password_hashing._LINE.release()

    for answer in (away, also):
        assert (answer.status_code, answer["Retry-After"]) == (503, "3")
        assert "try again" in answer.content.decode()
    assert not FailedAttempts.objects.filter(failures__gt=0).exists()
    assert try_password("vera", PASSWORD).status_code == 302
