"""What the command line prints of jobs in JSON: all that is known and nothing else, and it can be submitted again."""

import json
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec
from tests.support.agents import Crew
from tests.support.commandline import Run, answer
from tests.support.job_files import JobsFile
from tests.support.rehearsed import rehearsed_server

FULL = [
    "--job-name", "mine", "--nodes", "2", "--tasks", "8", "--priority", "-5", "--time-limit", "90m", "--env", "B=2",
    "--env", "A=1", "--workdir", "/work", "--label", "project=demo", "--on-lost", "requeue",
    "--cores-per-task", "2", "--gpus-per-task", "1", "--gpu-type", "a100", "--memory", "1.5G", "--exclusive",
    "--hold-if-unservable", "--start-within", "90",
    "--account", "physics", "--partition", "gpu", "--qos", "long", "--reservation", "r", "--constraint", "a|b",
    "--at", "keebler:qos=short", "--image", "debian", "--mount", "/a:/b", "--mount", "/c:/d:ro", "--need", "gpus>=4",
]  # fmt: skip
SAID = (set(JobSpec.__dataclass_fields__) - {"idempotency_key"}) | {"cluster"}
MUCH = "head -c 70000 /dev/zero | tr '\\0' x"


def submitted(rainbow: Run, *options: str) -> int:
    jobid: int = answer(rainbow("submit", "--json", *options, "--", "hostname"))["jobid"]
    return jobid


def printed(rainbow: Run, jobid: int) -> dict[str, Any]:
    job: dict[str, Any] = answer(rainbow("job", "--json", str(jobid)))
    return job


# Again


@pytest.mark.parametrize("options", [[], FULL], ids=["nothing said", "all said"])
@pytest.mark.parametrize("indent", [None, 2], ids=["on a line", "as it is"])
def test_a_job_that_is_printed_can_be_submitted_again(
    rainbow: Run, jobs_file: JobsFile, options: list[str], indent: int | None
) -> None:
    first = printed(rainbow, submitted(rainbow, *options))
    path = jobs_file(json.dumps(first, indent=indent).encode() + b"\n")

    outcome = answer(rainbow("submit", "--file", path, "--json"))

    newest = answer(rainbow("jobs", "--json"))["jobs"][0]["id"]
    second = printed(rainbow, newest)
    assert (outcome["submitted"], outcome["duplicates"]) == (1, 0)
    assert newest != first["id"]
    assert {name: second[name] for name in SAID} == {name: first[name] for name in SAID}
    assert second["idempotency_key"] not in ("", first["idempotency_key"])


def test_the_same_job_printed_later_is_the_same(rainbow: Run, jobs_file: JobsFile) -> None:
    jobid = submitted(rainbow, *FULL)
    early = rainbow("job", "--json", str(jobid)).stdout
    answer(rainbow("submit", "--file", jobs_file(early.encode()), "--json"))
    rainbow("cancel", str(jobid))
    late = rainbow("job", "--json", str(jobid)).stdout

    again = answer(rainbow("submit", "--file", jobs_file(late.encode()), "--json"))

    assert early != late
    assert (again["submitted"], again["duplicates"]) == (0, 1)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"nodse": 3}, "line 1: nodse: is unknown; the fields are command, "),
        ({"nodes": "3"}, "line 1: nodes: must be a whole number of 32 bits"),
        ({"environment": None}, "line 1: environment: must be an object whose values are strings"),
    ],
    ids=["unknown", "of another kind", "hidden"],
)
def test_what_is_changed_in_it_is_checked(
    rainbow: Run, jobs_file: JobsFile, change: dict[str, Any], complaint: str
) -> None:
    job = printed(rainbow, submitted(rainbow))

    result = rainbow("submit", "--file", jobs_file({**job, **change}))

    assert result.exit_code == 2
    assert complaint in result.stderr


def test_a_job_of_a_list_is_refused_for_its_environment(rainbow: Run, jobs_file: JobsFile) -> None:
    submitted(rainbow, "--env", "A=1")
    (job,) = answer(rainbow("jobs", "--json"))["jobs"]

    result = rainbow("submit", "--file", jobs_file(job))

    assert result.exit_code == 2
    assert "environment: is missing: lists leave it out, `rainbow job ID --json` has it" in result.stderr


@pytest.mark.parametrize("field", ["id", "state", "cluster", "output"])
def test_a_line_that_was_not_printed_has_no_fields_of_the_server(rainbow: Run, jobs_file: JobsFile, field: str) -> None:
    result = rainbow("submit", "--file", jobs_file({"command": "hostname", field: 1}))

    assert result.exit_code == 2
    assert f"line 1: {field}: is unknown" in result.stderr


# What is known


def test_lists_and_steps_leave_out_what_they_do_not_carry(rainbow: Run) -> None:
    jobid = submitted(rainbow, *FULL)
    rainbow("cancel", str(jobid))

    whole = printed(rainbow, jobid)
    (listed,) = answer(rainbow("jobs", "--json"))["jobs"]
    (step,) = map(json.loads, rainbow("watch", "--json", str(jobid)).stdout.splitlines())

    unlisted = {"environment", "output", "output_files", "output_is_cut", "events", "why_waiting", "prospects"}
    assert listed == {name: value for name, value in whole.items() if name not in unlisted}
    assert step == {name: value for name, value in listed.items() if name != "lease_expires_at"}


def test_the_job_that_was_waited_for_comes_with_its_events(rainbow: Run, agent: Crew) -> None:
    job = answer(rainbow("submit", "--wait", "--json", "--env", "A=1", "--", "true"))["job"]

    assert job["environment"] == {"A": "1"}
    assert job["events"][0]["what"] == "submitted"


# Output that is cut


def test_output_that_is_cut_is_said_to_be(rainbow: Run, agent: Crew) -> None:
    waited = rainbow("submit", "--wait", "-c", MUCH)
    (job,) = agent.client.list_jobs()
    logs, tail = rainbow("logs", str(job.id)), rainbow("logs", "--tail", str(job.id))
    shown = rainbow("job", str(job.id))

    assert (waited.stdout, logs.stdout) == ("x" * 70000,) * 2
    assert tail.stdout == "x" * 65536
    assert f"`rainbow logs {job.id}` prints all that its site keeps." in tail.stderr
    assert (
        f"The end of its output, 64 KiB; `rainbow logs {job.id}` prints all that its site keeps:\nxxx" in shown.stdout
    )
    assert printed(rainbow, job.id)["output_is_cut"] is True
    assert answer(rainbow("logs", "--json", str(job.id)))["output_is_cut"] is True


def test_nothing_is_said_of_output_that_is_whole(rainbow: Run, agent: Crew) -> None:
    result = rainbow("submit", "--wait", "-c", "echo hello")

    assert result.stdout == "hello\n"
    assert "64 KiB" not in result.stderr


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_a_character_that_was_cut_in_two_hides_no_cut(rainbow: Run, missing: int) -> None:
    job = pb.Job(id=1, state=pb.JOB_STATE_COMPLETED, output="x" * (65536 - missing))
    with rehearsed_server(pb.GetJobsResponse(jobs=[job])) as server:
        result = rainbow("logs", "1", "--host", server.address)

    assert "These are the last 64 KiB" in result.stderr


def test_a_job_that_ended_keeps_its_exit_code_where_its_output_cannot_be_had(rainbow: Run) -> None:
    queued = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS)
    over = pb.WatchJobsResponse(job=pb.Job(id=7, state=pb.JOB_STATE_FAILED, exit_code=9))
    with rehearsed_server(queued, over, grpc.StatusCode.INTERNAL) as server:
        result = rainbow("submit", "--host", server.address, "--wait", "--", "a")

    assert result.exit_code == 9
    assert "`rainbow logs 7` may show it later" in result.stderr


def test_who_cannot_go_on_waiting_is_told_that_the_job_goes_on(rainbow: Run) -> None:
    queued = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS)
    with rehearsed_server(queued, grpc.StatusCode.UNAUTHENTICATED) as server:
        result = rainbow("submit", "--host", server.address, "--wait", "--", "a")

    assert result.exit_code == 3
    assert result.stderr.endswith("Job 7 goes on; `rainbow watch 7` waits for it again.\n")
