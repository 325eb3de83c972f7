"""What one party holds of places that a process has few of."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from clusters.callers import Party
from clusters.places import Places
from rainbow.errors import LimitReached

ALICE, BOB, CAROL = (Party("person", number) for number in range(3))


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that are interrupted wherever they may be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_party_has_its_share_and_others_have_theirs() -> None:
    places = Places(most=3, of_a_party=2, what="files are being put")

    with places.taken(ALICE), places.taken(ALICE):
        with pytest.raises(LimitReached, match="so many files are being put for this person already"):
            places.taken(ALICE).__enter__()
        with places.taken(BOB), pytest.raises(LimitReached, match="so many files are being put here already"):
            places.taken(CAROL).__enter__()


def test_whether_all_are_taken_is_known_before_the_party_is() -> None:
    places = Places(most=1, of_a_party=1, what="outputs are read", retry_after_seconds=2)
    places.check()

    with places.taken(ALICE), pytest.raises(LimitReached, match="here") as refused:
        places.check()

    assert refused.value.retry_after_seconds == 2
    places.check()


def test_a_call_that_fails_gives_its_place_back() -> None:
    places = Places(most=1, of_a_party=1, what="outputs are read")

    with suppress(ZeroDivisionError), places.taken(ALICE):
        raise ZeroDivisionError

    with places.taken(ALICE):
        pass


@pytest.mark.usefixtures("hasty_threads")
def test_threads_that_come_and_go_together_leave_all_places_free() -> None:
    places = Places(most=8, of_a_party=8, what="outputs are read")

    def come_and_go() -> None:
        for _ in range(10_000):
            with places.taken(ALICE):
                pass

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(come_and_go) for _ in range(8)]:
            done.result()

    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(places.taken(ALICE))
        with pytest.raises(LimitReached):
            places.check()
