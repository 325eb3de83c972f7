"""Submitting a file while servers die, people lose patience, and others write."""

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rainbow import job_file
from rainbow.client import Client
from rainbow.errors import FailedPrecondition
from tests.support.commandline import MAIN, Run, answer
from tests.support.job_files import GOOD, JobsFile, numbered
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.rehearsed import TWO_ATTEMPTS
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer
from tests.support.wire import eventually

WRITTEN_FOR_LONG = 40_000


def test_a_server_that_is_killed_and_comes_back_gets_each_job_once(
    start_server: Callable[..., RainbowServer], rainbow: Run, jobs_file: JobsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()
    _join(server, monkeypatch)

    with _submitting(jobs_file(*numbered(WRITTEN_FOR_LONG))) as process:
        eventually(lambda: count(server.database_url, "jobs_job") > (0,))
        server.kill()
        (before,) = count(server.database_url, "jobs_job")
        again = start_server(database_url=server.database_url, address=server.address)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    commands = execute(again.database_url, "SELECT COUNT(DISTINCT command), COUNT(*) FROM jobs_job")
    assert process.returncode == 0, stderr
    assert 0 < before < WRITTEN_FOR_LONG
    assert commands == [(WRITTEN_FOR_LONG, WRITTEN_FOR_LONG)]
    assert b"Submitted " in stdout


@pytest.mark.usefixtures("tried_twice")
def test_a_server_that_stays_away_leaves_word_of_how_to_go_on(
    rainbow: Run, jobs_file: JobsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAINBOW_HOST", f"localhost:{free_port()}")

    result = rainbow("submit", *TWO_ATTEMPTS, "--file", jobs_file(GOOD))

    assert result.exit_code == 6
    assert "Stopped after 0 of 1 job. The same command with the same file goes on" in result.stderr


@pytest.mark.usefixtures("tried_twice")
def test_the_key_of_an_array_that_is_to_go_on_is_quoted(rainbow: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAINBOW_HOST", f"localhost:{free_port()}")

    result = rainbow("submit", *TWO_ATTEMPTS, "--array", "0-1", "--key", "a b", "--", "hostname")

    assert result.exit_code == 6
    assert "Stopped after 0 of 2 jobs. The same command with --key 'a b' goes on" in result.stderr


def test_an_interrupted_command_says_how_to_go_on_and_goes_on(
    start_server: Callable[..., RainbowServer], rainbow: Run, jobs_file: JobsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()
    _join(server, monkeypatch)
    path = jobs_file(*numbered(WRITTEN_FOR_LONG))

    with _submitting(path) as process:
        eventually(lambda: count(server.database_url, "jobs_job") > (0,))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    (before,) = count(server.database_url, "jobs_job")
    rest = answer(rainbow("submit", "--file", path, "--json"))

    assert (process.returncode, stdout) == (130, b"")
    assert re.fullmatch(
        rb"Stopped after [\d,]+ of 40,000 jobs. The same command with the same file goes on:"
        rb" no job is submitted twice.\n",
        stderr,
    )
    assert before <= rest["duplicates"] < WRITTEN_FOR_LONG
    assert rest["submitted"] + rest["duplicates"] == WRITTEN_FOR_LONG
    assert count(server.database_url, "jobs_job") == (WRITTEN_FOR_LONG,)


def test_a_file_that_is_changed_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(GOOD * 3)

    with path.open("rb") as file:
        lines = job_file.jobs(file, job_file.check(file), key_prefix="k")
        next(lines)
        with path.open("ab") as more:
            more.write(GOOD)
        with pytest.raises(FailedPrecondition, match="was changed while it was submitted"):
            list(lines)


def _join(server: RainbowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(server.address) as stranger:
        new = stranger.register("keebler", registration_secret=server.registration_secret)
    for name, value in {"HOST": server.address, "CLUSTER": new.cluster, "TOKEN": new.token}.items():
        monkeypatch.setenv(f"RAINBOW_{name}", value)


def _submitting(path: str) -> subprocess.Popen[bytes]:
    # Until its first answer it waits for a server that is away for no longer than the timeout.
    words = ["submit", "--timeout", str(PATIENCE_SECONDS), "--file", path]
    return subprocess.Popen([*MAIN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
