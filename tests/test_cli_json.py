"""JSON of the command line: one name for a job's id, and one order. The server has a script."""

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rainbow.cli import main
from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Begin
from tests.support.servers import ROOT


@pytest.fixture
def begin(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> Begin:
    monkeypatch.setenv("RAINBOW_SECRET", "the-secret")
    return begin


def printed(*words: str) -> Any:
    return json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)


CANCELLED = pb.CancelJobsResponse(results=[pb.CancelResult(jobid=9, outcome=pb.CancelResult.OUTCOME_CANCELLED)])
SIGNALLED = pb.SignalJobsResponse(results=[pb.SignalResult(jobid=9, outcome=pb.SignalResult.OUTCOME_REQUESTED)])
RESUBMITTED = pb.ResubmitJobsResponse(results=[pb.SubmitResult(jobid=9, position=1)])


@pytest.mark.parametrize(
    ("words", "answered"),
    [("cancel 9", CANCELLED), ("signal 9 USR1", SIGNALLED), ("resubmit 7", RESUBMITTED)],
    ids=["cancel", "signal", "resubmit"],
)
def test_what_is_said_of_a_job_has_its_id(begin: Begin, words: str, answered: Any) -> None:
    begin(answered)

    (result,) = printed(*words.split())["results"]

    assert list(result)[:2] == ["id", "jobid"]
    assert result["id"] == result["jobid"] == 9


def test_names_are_sorted(begin: Begin) -> None:
    names = [f"{first}{second}" for first in "zyxwvutsrqponmlkjihgfedcba" for second in "ba"]
    begin(pb.ListJobsResponse(jobs=[pb.Job(id=9, state=pb.JOB_STATE_QUEUED, labels=dict.fromkeys(names, "1"))]))

    (job,) = printed("jobs")["jobs"]

    assert list(job["labels"]) == sorted(names)


def test_the_manual_names_the_commands_without_json() -> None:
    manual = " ".join((ROOT / "docs" / "cli.md").read_text().split())
    named = re.search("The commands ([^.]+) have no `--json`", manual)

    assert named
    assert sorted(re.findall("`(.+?)`", named[1])) == sorted(without_json(main))


def without_json(command: click.Command, name: str = "") -> Iterator[str]:
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for part in command.list_commands(ctx):
            found = command.get_command(ctx, part)
            assert found
            yield from without_json(found, f"{name} {part}".strip())
    elif not any("--json" in option.opts for option in command.params):
        yield name
