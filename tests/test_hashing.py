"""Hashing passwords leaves the machine to others."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password

from rainbow_site.console.password_hashing import _HASHING, MOST_IN_LINE, OneByOneHasher, TooBusy
from tests.support.patience import PATIENCE_SECONDS


def test_it_is_djangos_own_hash(settings: pytest.FixtureRequest) -> None:
    ours = make_password("only-for-the-tests")
    djangos = PBKDF2PasswordHasher().encode("only-for-the-tests", "salt" * 4)

    assert ours.startswith("pbkdf2_sha256$")
    assert check_password("only-for-the-tests", djangos)
    assert not check_password("another", djangos)
    assert PBKDF2PasswordHasher().verify("only-for-the-tests", ours)


def test_one_password_is_hashed_at_a_time_a_few_wait_and_the_rest_is_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hash stands still until as many ask as there are, so that all of them meet."""
    going, most_at_once, let_go, crowd = 0, 0, threading.Event(), MOST_IN_LINE + 5
    refused = threading.Semaphore(0)

    def encode(*args: object) -> str:
        nonlocal going, most_at_once
        going += 1
        most_at_once = max(most_at_once, going)
        let_go.wait(PATIENCE_SECONDS)
        going -= 1
        return "hash"

    def hash_one(number: int) -> str:
        try:
            return OneByOneHasher().encode(f"password-{number}", "salt")
        except TooBusy:
            refused.release()
            return "sent away"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)
    with ThreadPoolExecutor(crowd) as pool:
        answers = pool.map(hash_one, range(crowd))
        for _ in range(crowd - MOST_IN_LINE):
            assert refused.acquire(timeout=PATIENCE_SECONDS)
        let_go.set()
        assert sorted(answers) == ["hash"] * MOST_IN_LINE + ["sent away"] * (crowd - MOST_IN_LINE)
    assert most_at_once == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux")
def test_hashing_goes_last() -> None:
    niceness = _HASHING.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result(60)

    assert niceness > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
