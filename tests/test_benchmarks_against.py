"""The benchmarks measure any server of the original protocol beside this one: here another instance of it."""

import shlex
import sys
from pathlib import Path

from benchmarks.bench import OtherServer, Plan, open_bench
from benchmarks.entries import against
from tests.support.servers import ROOT

PLAN = Plan(seconds=0.2, rounds=1, in_flight=(1,), growth=1)
MANAGE = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'manage.py'))}"
COMMAND = (
    "export DATABASE_URL={url} RAINBOW_REGISTRATION_SECRET={{secret}}; "
    f"exec {MANAGE} grpcserver --address {{{{address}}}}"
)


def test_another_server_is_started_for_each_call_and_measured_in_turn(embedded_database: str, tmp_path: Path) -> None:
    started: list[OtherServer] = []

    with open_bench(plan=PLAN, database="sqlite", folder=tmp_path, transport="grpcio") as bench:

        def start() -> OtherServer:
            started.append(bench.start_other(COMMAND.format(url=embedded_database)))
            return started[-1]

        report = against.measure(bench, start, calls=against.CALLS[-1:])

    (other,) = started
    assert [row.name for row in report.rows] == ["AcceptJobs(10), other", "AcceptJobs(10), rainbow"]
    assert [row.failed for row in report.rows] == [0, 0]
    assert all(row.middle(lambda sample: sample.server_time) > 0 for row in report.rows)
    assert report.rows[1].ratio > 0
    assert not Path(f"/proc/{other.pid}").exists()
