"""`rainbow jobs`: columns, spans of time, and the table that redraws. The server has a script."""

import os
import pty
import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from rainbow.cli import main
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.terminal.job_columns import COLUMNS
from rainbow.terminal.job_search import Search
from rainbow.terminal.live_jobs import keep_showing
from tests.support.commandline import MAIN, Begin
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rehearsed import Clock, rehearsed_server

ANY = Search(states=(), labels={}, name="", group=0, since=None, most=20)


def jobs(*words: str) -> Result:
    return CliRunner().invoke(main, ["jobs", *words])


def job(jobid: int, *, age: timedelta = timedelta(), **fields: Any) -> pb.Job:
    """Submitted so long ago."""
    one = pb.Job(**{"id": jobid, "state": pb.JOB_STATE_QUEUED, "cluster": "keebler", "nodes": 1, **fields})
    one.submitted_at.FromDatetime(datetime.now(UTC) - age)
    return one


def failed(jobid: int, **fields: Any) -> pb.Job:
    one = job(jobid, **{"state": pb.JOB_STATE_FAILED, "name": "train", "command": "train 17", **fields})
    one.finished_at.FromDatetime(datetime.now(UTC) - timedelta(minutes=4))
    return one


def page(*found: pb.Job, more: str = "") -> pb.ListJobsResponse:
    return pb.ListJobsResponse(jobs=found, next_page_token=more)


def table(result: Result) -> list[list[str]]:
    """Cells have two spaces between them."""
    assert result.exit_code == 0, result.output
    return [re.split(r" {2,}", line) for line in result.stdout.splitlines()]


def test_failures_are_listed_with_exit_code_and_reason(begin: Begin) -> None:
    ended = failed(9, exit_code=1, end_cause=pb.END_CAUSE_EXIT)
    begin(page(ended, failed(8, reason="no such directory", end_cause=pb.END_CAUSE_TIMED_OUT)))

    assert table(jobs("--state", "failed", "--state", "cancelled")) == [
        ["ID", "STATE", "NAME", "ENDED", "CODE", "CAUSE", "COMMAND", "WHY"],
        ["9", "failed", "train", "4 minutes ago", "1", "exit", "train 17", "-"],
        ["8", "failed", "train", "4 minutes ago", "-", "timed out", "train 17", "no such directory"],
    ]


def test_jobs_of_several_clusters_name_them(begin: Begin) -> None:
    begin(page(failed(9), failed(8, cluster="alpha")), page(failed(9), job(8, cluster="alpha")))

    assert table(jobs("--state", "failed"))[0][:3] == ["ID", "STATE", "CLUSTER"]
    assert table(jobs())[0] == ["ID", "STATE", "CLUSTER", "NAME", "NODES", "SUBMITTED", "COMMAND"]


def test_columns_are_chosen_by_name(begin: Begin) -> None:
    begin(page(job(9, labels={"b": "2", "a": "1"}, native_id="4711", array_index=0)))

    assert table(jobs("--format", "native-id, ID,labels,index,group")) == [
        ["NATIVE ID", "ID", "LABELS", "INDEX", "GROUP"],
        ["4711", "9", "a=1,b=2", "0", "-"],
    ]


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_has_words_for_a_job_of_which_nothing_is_known(begin: Begin, name: str) -> None:
    begin(page(job(9, name="n", command="c")))

    (_, [cell]) = table(jobs("--format", name))
    assert cell


def test_a_list_ends_at_the_first_job_that_is_too_old(begin: Begin) -> None:
    newer = [job(9), job(8, age=timedelta(minutes=50))]
    old = job(7, age=timedelta(hours=3))
    server = begin(page(*newer, old, more="x"), page(*newer, old), page(*newer, old))

    spoken = table(jobs("--since", "2h", "--all", "--format", "id"))
    since = (datetime.now(UTC) - timedelta(minutes=51)).isoformat()
    exact = jobs("--since", since, "--limit", "2", "--format", "id")
    short = jobs("--since", "1-00", "--limit", "2", "--format", "id")

    assert spoken == table(exact) == table(short) == [["ID"], ["9"], ["8"]]
    assert (exact.stderr, "There are more" in short.stderr) == ("", True)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--format id,colour", "'colour' is none of id, state, cluster"),
        ("--since yesterday", "neither a span"),
        ("--since 0", "is not within 1 second to 36,500 days"),
        ("--since 99999999999", "is not within 1 second to 36,500 days"),
        ("--json --format id", "--json has all fields"),
        ("--json --watch", "--json has all fields"),
        ("--watch --all", "--limit in place of --all"),
        ("--watch", "--watch needs a terminal"),
    ],
)
def test_what_makes_no_list_is_refused(config_file: Path, words: str, hint: str) -> None:
    told = jobs(*words.split())

    assert (told.exit_code, hint in " ".join(told.stderr.split())) == (2, True), told.stderr


def test_the_table_is_drawn_again_and_keeps_what_it_had_while_the_server_is_away(clock: Clock) -> None:
    script = page(), page(job(9, name="first")), *[grpc.StatusCode.UNAVAILABLE] * 100
    drawn = StringIO()
    console = Console(file=drawn, force_terminal=True, width=80, height=30, color_system=None)
    looks: list[str] = []

    def pause(seconds: float) -> None:
        looks.append(drawn.getvalue())
        drawn.truncate(0)
        drawn.seek(0)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with (
        rehearsed_server(*script) as server,
        Client(server.address, cluster="k", token="t", timeout_seconds=10, retries=clock.retries()) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        keep_showing(client, ANY, (), console=console, sleep=pause)

    assert "No jobs." in looks[0]
    assert "first" in looks[1]
    assert "No news" not in looks[1]
    assert "first" in looks[2]
    assert "No news since then" in looks[2]


def test_on_a_terminal_ctrl_c_ends_it_with_130(begin: Begin) -> None:
    begin(*[page(job(9, name="watched"))] * 1000)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}

    with subprocess.Popen(
        [*MAIN, "jobs", "--watch"], stdout=theirs, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.close(theirs)
        seen = b""
        while b"watched" not in seen:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(ours)

    assert (process.returncode, stderr) == (130, b"")
