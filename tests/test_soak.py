"""What the soak says of growth, by samples of a made-up run."""

from collections.abc import Callable

import pytest

from benchmarks.chaos.ledger import Call
from benchmarks.soak import MEMORY_MIB_PER_HOUR, ROWS_PER_JOB, Sample, tell_calls, tell_growth

MINUTE = 60.0


def samples(grow: Callable[[int], dict[str, float]]) -> list[Sample]:
    """One for each of ten minutes; `grow` says how much more there is at each."""
    return [_sample(minute, grow(minute)) for minute in range(10)]


def _sample(minute: int, more: dict[str, float]) -> Sample:
    rows = {"jobs_job": 100 * minute, "jobs_jobevent": 300 * minute, "jobs_joblabel": 0, "clusters_cluster": 4}
    return Sample(
        at=minute * MINUTE,
        memory_mib=[90.0 + more.get("memory", 0.0), 90.0],
        files=[40 + int(more.get("files", 0)), 40],
        rows=rows | {name: rows[name] + int(number) for name, number in more.items() if name in rows},
    )


def test_records_of_jobs_grow_with_the_jobs_and_no_bound_is_exceeded(capsys: pytest.CaptureFixture[str]) -> None:
    assert not tell_growth(samples(lambda minute: {}))

    assert "| rows for each job | 4.0 | 6 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "by_minute"),
    [
        ("memory", 1.1 * MEMORY_MIB_PER_HOUR / 60),
        ("files", 1),
        ("jobs_jobevent", 100 * ROWS_PER_JOB),
        ("clusters_cluster", 20),
    ],
)
def test_what_grows_beyond_its_bound_is_said(what: str, by_minute: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell_growth(samples(lambda minute: {what: by_minute * minute}))

    assert capsys.readouterr().out.count("EXCEEDED") == 1


def test_calls_that_failed_are_counted_and_told_with_their_time_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    why = "DEADLINE_EXCEEDED 127.0.0.1:50051 did not answer in time request_id=9f86d081884c7d65"
    calls = [
        Call(began=100.0, ended=100.5, submitter=0, job_id=1),
        Call(began=103.25, ended=113.25, submitter=1, job_id=None, failure=why),
    ]

    assert tell_calls(calls, 20) == 1

    out = capsys.readouterr().out
    assert "1 jobs submitted in 20 s, 1 calls failed, p99 10.00 s, longest 10.00 s" in out
    assert f"failed from 3.2 s to 13.2 s: {why}" in out
