"""The benchmarks compare the servers of two revisions, run in turn."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.bench import Bench, Plan, open_bench
from benchmarks.cases import serial
from benchmarks.comparison import lines, rows_of
from benchmarks.measure import Row, Sample, compare
from benchmarks.report import Report
from benchmarks.revision import worktree
from tests.support.servers import MANAGE

PLAN = Plan(seconds=0.1, rounds=1, in_flight=(1,), growth=1)


def sample(rate: float, *, cost: float) -> Sample:
    return Sample(
        calls=100, failed=0, seconds=100 / rate, p50=0.001, p99=0.004, server_time=cost * 100, database_time=0.0,
        load_time=0.0, others_time=0.0, stolen_time=0.0,
    )  # fmt: skip


def report(*samples: Sample, name: str = "SubmitJob") -> Report:
    row = Row(name=name, in_flight=64, samples=list(samples), yardstick=list(samples))
    return Report(title="", yardstick="", rows=[row])


def test_ratios_are_those_of_the_rounds_and_not_of_their_medians() -> None:
    pairs = [
        (report(sample(100, cost=0.002)), report(sample(200, cost=0.001))),
        (report(sample(1000, cost=0.004)), report(sample(3000, cost=0.002))),
        (report(sample(10, cost=0.002)), report(sample(40, cost=0.001))),
    ]

    (row,) = rows_of(pairs)

    assert (row.ratio, row.ratios) == (3.0, [2.0, 3.0, 4.0])
    cells = [cell.strip() for cell in lines([row])[2].strip("| ").split(" | ")]
    assert cells[2:5] == ["100 → 200", "3.00", "2.00-4.00"]
    assert cells[7:] == ["2.000 → 1.000", "0.50"]


def test_what_one_of_the_revisions_does_not_measure_is_left_out() -> None:
    assert list(rows_of([(report(sample(1, cost=1)), report(sample(1, cost=1), name="NewCall"))])) == []


def test_a_bench_measures_the_servers_of_the_checkout_that_it_is_given(tmp_path: Path) -> None:
    command = tmp_path / "manage"
    command.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/commands\nexec {" ".join(MANAGE)} "$@"\n')
    command.chmod(0o755)

    with open_bench(plan=PLAN, database="sqlite", folder=tmp_path, manage=[str(command)]) as bench:
        rows = _measured(bench)

    assert rows[0].middle(lambda found: found.rate) > 0
    assert (tmp_path / "commands").read_text().split() == ["migrate", "grpcserver"]


def test_a_revision_is_checked_out_for_the_while(tmp_path: Path) -> None:
    with worktree("HEAD", tmp_path) as checkout:
        assert (checkout / "manage.py").exists()

    assert not checkout.exists()


def test_a_revision_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError), worktree("no-such-revision", tmp_path):
        pass


def _measured(bench: Bench) -> list[Row]:
    with bench.servers_stopped():
        return compare([serial(bench.start_server())], bench.plan)
