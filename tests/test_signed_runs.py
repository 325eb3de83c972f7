"""A signature runs once, whatever the server does with the job that it belongs to."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rainbow.agent.signed_runs import KEPT, SignedRuns
from rainbow.signatures import Statement

NOW = datetime(2026, 11, 28, tzinfo=UTC)
SAID = Statement(person="ada", target="here", expires_at=int(NOW.timestamp()) + 60, nonce="a" * 32)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[SignedRuns]:
    opened = SignedRuns(tmp_path)
    yield opened
    opened.close()


def claim(runs: SignedRuns, jobid: int, attempt: int = 1, said: Statement = SAID, now: datetime = NOW) -> str:
    return runs.claim(said, jobid=jobid, attempt=attempt, now=now)


def test_the_same_attempt_may_ask_again_after_a_crash(tmp_path: Path) -> None:
    first = SignedRuns(tmp_path)
    assert claim(first, 1) == ""
    first.close()

    again = SignedRuns(tmp_path)

    assert claim(again, 1) == ""
    assert "used before, by job 1" in claim(again, 2)
    again.close()


def test_another_job_never_has_it(runs: SignedRuns) -> None:
    claim(runs, 1)

    assert claim(runs, 2) == "its signature was used before, by job 1"


def test_a_later_attempt_has_it_only_if_more_runs_were_signed(runs: SignedRuns) -> None:
    twice = Statement(person="ada", target="here", expires_at=SAID.expires_at, nonce="b" * 32, runs=2)
    claim(runs, 1)

    assert claim(runs, 1, 2) == "its signature was used before: it is for 1 run"
    assert [claim(runs, 1, attempt, twice) for attempt in (1, 2)] == ["", ""]
    assert claim(runs, 1, 3, twice) == "its signature was used before: it is for 2 runs"


def test_an_attempt_that_never_started_gives_it_back(runs: SignedRuns) -> None:
    claim(runs, 1)

    runs.release(jobid=1, attempt=1)

    assert claim(runs, 1, 2) == ""


def test_an_attempt_that_is_over_does_not_have_it_again(runs: SignedRuns) -> None:
    claim(runs, 1)

    runs.end(jobid=1, attempt=1)
    runs.release(jobid=1, attempt=1)

    assert claim(runs, 1) == "its signature was used before, by this attempt"


def test_it_is_kept_longer_than_it_is_in_force(runs: SignedRuns) -> None:
    claim(runs, 1)
    other = Statement(person="ada", target="here", expires_at=SAID.expires_at, nonce="c" * 32)

    claim(runs, 3, said=other, now=NOW + KEPT)
    assert claim(runs, 2) != ""
    claim(runs, 3, said=other, now=NOW + KEPT + timedelta(minutes=2))
    assert claim(runs, 2) == ""
