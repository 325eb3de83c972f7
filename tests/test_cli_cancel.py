"""`rainbow cancel --label` and `--all`: which jobs, the question, and the exit codes. The server has a script."""

import json
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from rainbow.cli import main
from rainbow.protos import rainbow_pb2 as pb
from rainbow.terminal import cancelling
from tests.support.commandline import Begin

CANCELLED, REQUESTED = pb.CancelResult.OUTCOME_CANCELLED, pb.CancelResult.OUTCOME_REQUESTED
OVER, OUT_OF_REACH = pb.CancelResult.OUTCOME_ALREADY_FINAL, pb.CancelResult.OUTCOME_OUT_OF_REACH


def cancel(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, ["cancel", *words], input=answer)


def page(*jobids: int, state: "pb.JobState.ValueType" = pb.JOB_STATE_QUEUED, more: str = "") -> pb.ListJobsResponse:
    jobs = [pb.Job(id=jobid, state=state, cluster="keebler") for jobid in jobids]
    return pb.ListJobsResponse(jobs=jobs, next_page_token=more)


def outcomes(*found: "tuple[int, pb.CancelResult.Outcome.ValueType]") -> pb.CancelJobsResponse:
    return pb.CancelJobsResponse(results=[pb.CancelResult(jobid=jobid, outcome=outcome) for jobid, outcome in found])


def test_the_jobs_of_a_label_are_counted_and_stopped_once_somebody_says_yes(begin: Begin) -> None:
    listed = page(9, 8, more="x"), page(7, 6, state=pb.JOB_STATE_RUNNING)
    server = begin(*listed, outcomes((9, CANCELLED), (8, CANCELLED), (7, REQUESTED), (6, REQUESTED)))

    told = cancel("--label", "project=demo", "--reason", "wrong input", answer="y\n")

    assert (told.exit_code, told.stderr) == (0, "Cancel 4 jobs (2 queued, 2 running)? [y/N] ")
    assert told.stdout == "2 jobs: cancelled\n2 jobs: will be stopped by their clusters\n"
    search, _, done = server.asked
    assert dict(search.labels) == {"project": "demo"}
    states = {pb.JobState.Name(state).removeprefix("JOB_STATE_").lower() for state in search.states}
    assert states == {"blocked", "queued", "accepted", "running", "lost"}
    assert (list(done.jobids), done.reason) == ([9, 8, 7, 6], "wrong input")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [("\n", 5, "Nothing was cancelled."), ("n\n", 5, "Nothing was cancelled."), ("", 2, "--yes cancels without")],
)
def test_nothing_is_cancelled_without_a_yes(begin: Begin, answer: str, code: int, words: str) -> None:
    server = begin(page(9))

    told = cancel("--state", "queued", "--all", answer=answer)

    assert (told.exit_code, told.stdout) == (code, "")
    assert words in told.stderr
    assert [list(asked.states) for asked in server.asked] == [[pb.JOB_STATE_QUEUED]]


def test_yes_asks_nothing_and_a_script_gets_json(begin: Begin) -> None:
    begin(page(9, 8), outcomes((9, CANCELLED), (8, OVER)))

    told = cancel("--all", "--yes", "--json")

    assert (told.exit_code, told.stderr) == (0, "")
    found = [(result["id"], result["outcome"]) for result in json.loads(told.stdout)["results"]]
    assert found == [(9, "cancelled"), (8, "already_final")]


def test_one_that_cannot_be_stopped_is_named(begin: Begin) -> None:
    begin(page(9, 8, 7), outcomes((9, OUT_OF_REACH), (8, OVER), (7, CANCELLED)))

    told = cancel("--all", "-y")

    assert told.exit_code == 5
    assert told.stdout == "1 job: cancelled\n1 job: is over already\n"
    assert told.stderr.startswith("Job 9: was taken by its cluster for good")


def test_where_there_are_no_jobs_nothing_is_asked(begin: Begin) -> None:
    begin(page(), page())

    assert [cancel("--all").stdout, json.loads(cancel("--all", "--json").stdout)] == ["No jobs.\n", {"results": []}]


def test_many_are_stopped_in_several_calls_and_a_failure_between_says_what_may_be(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancelling, "JOBS_PER_CALL", 2)
    script = page(9, 8, 7), outcomes((9, CANCELLED), (8, CANCELLED)), grpc.StatusCode.INTERNAL
    server = begin(*script)

    told = cancel("--all", "-y")

    assert [list(asked.jobids) for asked in server.asked[1:]] == [[9, 8], [7]]
    assert (told.exit_code, "The same command again" in told.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--state queued", "add --label or --all"),
        ("7 --all", "either the ids"),
        ("7 --group 3", "either the ids"),
        ("--group 3 --label a=b", "either the ids"),
        ("7 --state queued", "--state goes with"),
        ("--state failed --all", "'failed' is not one of"),
        ("", "either the ids"),
    ],
)
def test_what_does_not_say_which_jobs_is_refused(config_file: Path, words: str, hint: str) -> None:
    told = cancel(*words.split())

    assert (told.exit_code, hint in " ".join(told.stderr.split())) == (2, True), told.stderr
