"""JSON of the command line: one name for a job's id, and one order. The server has a script."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from rainbow.cli import main
from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Begin


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
