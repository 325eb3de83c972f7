"""Killed at random: the agents of a pool and their servers. Each job starts once."""

from collections.abc import Callable
from pathlib import Path

from tests.support.drill import KILLS, Drill


def test_each_job_of_a_pool_starts_once_while_agents_and_servers_are_killed(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    outcome = Drill(new_database(), tmp_path).run(600)

    assert outcome.each_started_once
    assert outcome.killed.total() == KILLS
    assert outcome.killed["servers"] >= 2
