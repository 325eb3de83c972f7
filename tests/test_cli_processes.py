"""The command line among other processes: terminals, pipes, signals; and how it words things."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from rich.console import Console

from rainbow.cli import COMMANDS
from rainbow.protos import rainbow_pb2 as pb
from rainbow.terminal import tables
from rainbow.terminal.formatting import ago, span, when
from rainbow.terminal.types import Span
from rainbow.text import on_one_line, printable
from tests.support.certificates import make_certificate
from tests.support.commandline import MAIN, Run
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rehearsed import RehearsedServer, rehearsed_server
from tests.support.terminals import at_terminal, without_controls

QUEUED = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS, position=1)
NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def rehearse(rainbow: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives the command line a server with a script."""
    with ExitStack() as stack:

        def start(*script: Any) -> RehearsedServer:
            server = stack.enter_context(rehearsed_server(*script))
            monkeypatch.setenv("RAINBOW_HOST", server.address)
            return server

        yield start


def test_a_job_cannot_drive_the_terminal_that_shows_it(rainbow: Run, rehearse: Any) -> None:
    rehearse(pb.ListJobsResponse(jobs=[pb.Job(id=1, name="n", command="echo \x1b[2J\nrm \u202e")]))

    result = rainbow("jobs")

    assert "echo \\x1b[2J\\nrm \\u202e" in result.stdout


def test_a_credential_from_standard_input_is_in_no_process_list(rehearse: Any) -> None:
    lists: list[str] = []

    def poll_waiting_queues(context: grpc.ServicerContext) -> pb.SubmitJobResponse:
        lists.extend(_command_lines())
        return QUEUED

    server = rehearse(poll_waiting_queues)
    subprocess.run([*MAIN, "submit", "--token", "-", "-c", "a"], input=b"hush-hush\n", check=True)

    assert server.asked[0].token == "hush-hush"
    assert any("submit\0--token\0-\0" in line for line in lists)
    assert not any("hush-hush" in line for line in lists)


def test_an_interrupted_command_ends_with_130_and_no_word(rehearse: Any) -> None:
    asked, enough = Event(), Event()

    def dawdle(context: grpc.ServicerContext) -> pb.RequestJobsResponse:
        asked.set()
        enough.wait(PATIENCE_SECONDS)
        return pb.RequestJobsResponse()

    rehearse(dawdle)
    with subprocess.Popen([*MAIN, "request", "--wait", "5m"], stderr=subprocess.PIPE) as process:
        assert asked.wait(PATIENCE_SECONDS)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    enough.set()

    assert (process.returncode, stderr) == (130, b"")


def test_a_reader_that_has_had_enough_causes_no_noise(rehearse: Any) -> None:
    rehearse(pb.ListJobsResponse(jobs=[pb.Job(id=number) for number in range(1000, 0, -1)]))
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run([*MAIN, "jobs", "--all"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["jobs", "--help"]], ids=" ".join)
def test_a_reader_of_help_that_goes_away_is_one_too(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run([*MAIN, *words], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)

    assert (done.returncode, done.stderr) == (141, b"")


def test_letters_that_the_encoding_lacks_are_escaped(rehearse: Any) -> None:
    rehearse(pb.ListJobsResponse(jobs=[pb.Job(id=1, name="é→", command="true")]))

    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([*MAIN, "jobs"], env=environment, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b" \xe9\\u2192 " in done.stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        ("submit --token - -c a <&-", 2, "Error: --token is empty.\n"),
        ("cancel --all <&-", 2, "Error: Nobody answered; --yes cancels without a question.\n"),
        ("jobs >&-", 0, ""),
        ("nonsense 2>&-", 2, ""),
    ],
)
def test_a_standard_stream_may_be_closed(rehearse: Any, words: str, exit_code: int, complaint: str) -> None:
    rehearse(pb.ListJobsResponse(jobs=[pb.Job(id=1, state=pb.JOB_STATE_QUEUED)]))

    command = f"{shlex.join(MAIN)} {words}"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == exit_code
    assert done.stderr.endswith(complaint)
    assert "Traceback" not in done.stderr


def test_a_terminal_gets_a_table_that_fits(rehearse: Any) -> None:
    rehearse(pb.ListJobsResponse(jobs=[pb.Job(id=1, state=pb.JOB_STATE_RUNNING, command="x" * 500)]))

    header, row = without_controls(at_terminal([*MAIN, "jobs"], columns=80)).split("\r\n")[:2]

    assert header.split() == ["ID", "STATE", "NAME", "NODES", "SUBMITTED", "COMMAND"]
    assert row.startswith("1   running")
    assert row.rstrip().endswith("x…")
    assert len(row) <= 80


def test_a_table_leaves_room_for_its_last_column() -> None:
    cells = [["x" * 50, "y" * 50, "reason" * 50]]

    text = Console(width=100, file=StringIO())
    text.print(tables.drawn(["A", "B", "WHY"], cells, width=100))

    row = text.file.getvalue().splitlines()[1]
    assert len(row.rstrip()) <= 100
    assert "reasonreason" in row


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_terminal_shows_all_columns_and_ids_whole(width: int) -> None:
    columns = ["ID", "STATE", "CLUSTER", "NAME", "ENDED", "CODE", "CAUSE", "COMMAND", "WHY"]
    row = ["3000000009", "failed", "keebler", "n" * 30, "4 minutes ago", "1", "exit", "c" * 200, "w" * 300]

    text = Console(width=width, file=StringIO())
    text.print(tables.drawn(columns, [row], width=width), crop=False)

    header, line = text.file.getvalue().splitlines()
    assert header.split() == columns
    assert line.startswith("3000000009  failed  keebler  n")
    assert line[header.index("CODE")] == "1"
    assert line[header.index("WHY") :].startswith("ww")
    assert len(line.rstrip()) <= 80


@pytest.mark.parametrize("words", [["--help"], ["--version"]], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from rainbow.cli import main\n"
        f"try: main({words!r})\n"
        "finally: sys.exit(', '.join({'grpc', 'google', 'rich', 'platformdirs'} & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_as_the_overview_does(stranger: Run, command: str) -> None:
    overview = " ".join(stranger("--help").stdout.split())

    text = " ".join(stranger(command, "--help").stdout.split())

    assert f"{command} {COMMANDS[command]}" in overview
    assert COMMANDS[command].rstrip(".") in text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1d1s", 86401)]
)
def test_a_span_of_time_is_written_as_people_do(text: str, seconds: int) -> None:
    assert Span(lowest=0, highest=10**6).convert(text, None, None) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1m30s"), (5400, "1h30m"), (86401, "1d1s")])
def test_a_span_of_time_is_shown_as_it_may_be_written(seconds: int, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (1, "1 second ago"),
        (119, "1 minute ago"),
        (7200, "2 hours ago"),
        (200000, "2 days ago"),
        (-90, "in 1 minute"),
    ],
)
def test_a_moment_is_told_by_its_distance(seconds: int, words: str) -> None:
    moment = NOW - timedelta(seconds=seconds)

    assert ago(moment, now=NOW) == words
    assert when(moment, now=NOW) == f"{moment.astimezone():%Y-%m-%d %H:%M:%S} ({words})"


def test_text_for_people_keeps_its_letters_and_loses_its_controls() -> None:
    assert printable("ü→\n\t\x1b\x7f\udcff") == "ü→\n\t\\x1b\\x7f\\udcff"
    assert on_one_line("a\nb\tc") == "a\\nb\\tc"


def _command_lines() -> list[str]:
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(entry.read_text(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return lines


def test_grpc_adds_nothing_of_its_own_to_a_failure(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    environment = {**os.environ, "RAINBOW_CONFIG": str(tmp_path / "config.toml")}

    once = "from rainbow.retries import Retries; Retries.pause = lambda self, longest, **_: None"
    with rehearsed_server(pb.Response(), credentials=credentials) as server:
        words = [*MAIN[:-1], f"{once}; {MAIN[-1]}", "register", "--tls", "--host", server.address]
        words += ["--timeout", str(PATIENCE_SECONDS)]
        refused = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert refused.returncode == 6
    assert "its certificate is not trusted" in refused.stderr
    assert refused.stderr.endswith("; --ca-file names a certificate to trust\n")
    assert all(line.startswith(("localhost:", "Error: localhost:")) for line in refused.stderr.splitlines())
