"""Passwords that are tried at the same moment each count as a guess."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.db import connection

from clusters.services.throttle import ACCOUNT_GUESSES
from rainbow_site.console import password_hashing
from tests.support.console import PASSWORD, try_password, window_is_over

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _vera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_hashing.OneByOneHasher, "iterations", 10)
    User.objects.create_user("vera", password=PASSWORD, is_staff=True)


def looked_at(number: int) -> int:
    """How many of so many wrong passwords for one account, which come together, are looked at."""

    def try_one(number: int) -> int:
        try:
            return int(try_password("vera", f"wrong-{number}").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(try_one, range(number)))
    assert set(answers) <= {200, 429, 503}
    return answers.count(200)


def test_no_more_are_looked_at_than_one_after_the_other() -> None:
    assert 1 <= looked_at(24) <= ACCOUNT_GUESSES


def test_those_who_begin_a_window_together_are_counted_each() -> None:
    for _ in range(ACCOUNT_GUESSES):
        try_password("vera", "wrong")
    window_is_over()

    assert 1 <= looked_at(24) <= ACCOUNT_GUESSES
