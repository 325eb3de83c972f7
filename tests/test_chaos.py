"""The chaos drill in short: two of its faults, on a small fleet; make chaos strikes with all."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.chaos.database import database
from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.fleet import FAKETIME, Size, fleet
from benchmarks.chaos.ledger import Call, Verdict, Window, judge, lost_jobs, percentile, read_calls
from benchmarks.chaos.run import CALM, run

SHORT = ("postmaster killed", "connection cut")


def test_what_was_acknowledged_runs_once_though_the_database_is_killed_and_connections_are_cut(tmp_path: Path) -> None:
    faults = [fault for fault in FAULTS if fault.name in SHORT]

    with database(small=False) as found, fleet(found, tmp_path, Size(submitters=4, agents=2)) as running:
        verdicts = run(running, faults, seconds=2)
        unfinished, ended = running.unfinished(), running.ended_agents()
        lost = lost_jobs(read_calls(running.calls), completed=running.completed())

    assert list(verdicts) == [CALM, *SHORT]
    assert all(verdict.is_good for verdict in verdicts.values()), verdicts
    assert (unfinished, ended, lost) == ([], 0, set())


@pytest.mark.skipif(not FAKETIME, reason="needs faketime, Debian's package of that name")
def test_a_step_of_a_servers_clock_ends_no_lease_and_loses_nothing(tmp_path: Path) -> None:
    steps = [fault for fault in FAULTS if fault.name == "clock step"]

    with database(small=False) as found, fleet(found, tmp_path, Size(submitters=2, agents=2)) as running:
        verdicts = run(running, steps, seconds=1)

    assert verdicts["clock step"].is_good, verdicts


def test_the_verdict_counts_what_was_lost_and_what_ran_twice() -> None:
    calls = [
        Call(began=1.0, ended=1.5, submitter=0, job_id=1),
        Call(began=10.0, ended=10.5, submitter=0, job_id=2),
        Call(began=10.0, ended=12.0, submitter=1, job_id=None),
        Call(began=12.0, ended=14.0, submitter=1, job_id=3),
        Call(began=14.0, ended=14.5, submitter=0, job_id=4),
        Call(began=20.0, ended=21.0, submitter=0, job_id=5),
    ]

    verdict = judge(
        Window(began=10.0, over=13.0, recovered=15.0), calls, completed={1, 2, 4, 5}, starts=Counter([1, 2, 4, 4, 5, 5])
    )

    assert verdict == Verdict(acknowledged=3, lost=1, twice=1, failed_calls=1, recovery_seconds=2.0, p99_seconds=2.0)
    assert not verdict.is_good


def test_what_was_acknowledged_between_two_faults_is_lost_as_well() -> None:
    calls = [Call(began=1.0, ended=1.5, submitter=0, job_id=number) for number in (1, 2, None)]

    assert lost_jobs(calls, completed={1}) == {2}


def test_a_percentile_of_few_is_the_largest() -> None:
    assert percentile([0.1, 0.3, 0.2], 0.99) == 0.3
    assert percentile([], 0.99) == 0.0
