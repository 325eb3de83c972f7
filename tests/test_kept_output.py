"""How long an agent keeps what jobs wrote: `rainbow agent --keep-output-for` and `--keep-output-total`."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.agent_cast import Hire
from tests.support.agents import local
from tests.support.commandline import MAIN, Run, answer
from tests.support.patience import PATIENCE_SECONDS, wait_until

MIB = 1024 * 1024
GONE = "the site keeps the job's output no longer"
Agent = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def agent(rainbow: Run, tmp_path: Path) -> Iterator[Agent]:
    """`rainbow agent` with these words, as a process, on one folder."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [*MAIN, "agent", "--executor", "local", "--state-dir", str(tmp_path / "state"), *words]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ)))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def jobids(rainbow: Run, agent: Agent, tmp_path: Path) -> list[str]:
    """Three jobs that wrote 2 MiB each, and ended 40, 30 and 1 minutes ago."""
    words = ("submit", "--json", "-c", f"head -c {2 * MIB} /dev/zero")
    submitted = [answer(rainbow(*words))["jobid"] for _ in range(3)]
    assert agent("--once").wait(PATIENCE_SECONDS) == 0
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as journal, journal:
        for jobid, minutes in zip(submitted, (40, 30, 1), strict=True):
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            journal.execute("UPDATE job SET changed_at = ? WHERE jobid = ?", (at.isoformat(), jobid))
    return [str(jobid) for jobid in submitted]


def are_gone(rainbow: Run, jobids: list[str]) -> list[bool]:
    """As far as the agent answers in time."""
    return [GONE in rainbow("logs", "--stderr", jobid).stderr for jobid in jobids]


def test_output_goes_once_it_was_kept_for_so_long(rainbow: Run, agent: Agent, jobids: list[str]) -> None:
    agent("--keep-output-for", "35m")

    wait_until(lambda: are_gone(rainbow, jobids) == [True, False, False])


def test_the_earliest_output_goes_beyond_the_space_that_all_may_take(
    rainbow: Run, agent: Agent, jobids: list[str]
) -> None:
    agent("--keep-output-total", "5M")

    wait_until(lambda: are_gone(rainbow, jobids) == [True, False, False])


def test_output_is_kept_for_five_minutes_whatever_space_it_takes(rainbow: Run, agent: Agent, jobids: list[str]) -> None:
    agent("--keep-output-total", "1M")

    wait_until(lambda: are_gone(rainbow, jobids) == [True, True, False])


def test_output_goes_by_the_agents_clock(hire: Hire, tmp_path: Path) -> None:
    executor = local(tmp_path / "state")
    crew = hire(executor=executor, keep_output=timedelta(hours=1))
    (job,) = crew.finish(crew.submit("echo kept"))
    folder = executor._folder(f"rainbow-{job.id}-1")  # type: ignore[attr-defined]

    crew.clock.move(3500)
    crew.work_for(0.2)
    kept = folder.output.read_text()
    crew.clock.move(200)

    assert kept == "kept\n"
    crew.work(lambda: not folder.output.exists())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--keep-output-for", "4m"),
        ("--keep-output-for", "366d"),
        ("--keep-output-for", "soon"),
        ("--keep-output-total", "1023K"),
        ("--keep-output-total", "all"),
    ],
)
def test_other_values_are_refused(rainbow: Run, tmp_path: Path, option: str, value: str) -> None:
    result = rainbow("agent", "--executor", "local", "--state-dir", str(tmp_path), option, value)

    assert result.exit_code == 2
    assert option in result.stderr
