"""The benchmark of large groups sums them up, cancels them, and sees their members end."""

from django.db import connection

from benchmarks.bench import Plan, open_bench
from benchmarks.entries import groups
from benchmarks.goals import goals_reached
from benchmarks.report import failures_of

# More than one call submits, and more than one step cancels.
MEMBERS = 10_001


def test_a_large_group_is_summed_up_and_cancelled() -> None:
    plan = Plan(seconds=0.01, rounds=1, in_flight=(1,), growth=1)
    with open_bench(plan=plan, database=connection.vendor, folder=None) as bench, bench.servers_stopped():
        report = groups.measure_groups_of(MEMBERS, bench)

    assert {row.name for row in report.rows} == {groups.FEW, groups.MANY, groups.ALONE, groups.BESIDE}
    assert not list(failures_of(report))
    assert report.figures[groups.ENDED] > report.figures[groups.ACKNOWLEDGED] > 0
    assert len(list(goals_reached({"groups": report}))) == 2
