"""rainbow submit --wait: how the job goes, what it wrote, and its exit code."""

import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from queue import Queue

import grpc
import pytest

from rainbow import translation
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobState
from rainbow.terminal import why_waiting
from rainbow.terminal.following import exit_code_of
from rainbow.terminal.why_waiting import WhyWaiting
from tests.support.agents import Crew
from tests.support.commandline import MAIN, Run, answer
from tests.support.executors import until_there
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rehearsed import rehearsed_server
from tests.support.wire import Remote, eventually


@pytest.mark.parametrize(
    ("command", "options", "exit_code", "words"),
    [
        ("echo hello", [], 0, "completed"),
        ("echo no; exit 7", [], 7, "failed with exit code 7"),
        ("kill -9 $$", [], 137, r"failed with exit code 137: killed by signal 9 \(SIGKILL\)"),
        # A busy machine may end it later.
        ("sleep 600", ["--time-limit", "1"], 1, r"failed after \S+: reached its time limit"),
    ],
)
def test_the_exit_code_is_the_jobs(
    rainbow: Run, agent: Crew, command: str, options: list[str], exit_code: int, words: str
) -> None:
    result = rainbow("submit", "--wait", *options, "-c", command)

    assert result.exit_code == exit_code, result.output
    states = [line.split(": ", 1)[1] for line in result.stderr.splitlines() if "  Job " in line]
    assert re.fullmatch(words, states[-1])


def test_what_the_job_wrote_is_all_that_standard_output_gets(rainbow: Run, agent: Crew) -> None:
    result = rainbow("submit", "--wait", "-c", r"printf 'one\ttwo\n\033[1mbold'")

    assert result.stdout == "one\ttwo\n\x1b[1mbold"


def test_with_json_there_is_one_document_at_the_end(rainbow: Run, agent: Crew) -> None:
    document = answer(rainbow("submit", "--wait", "--json", "-c", "echo hello"))

    assert document["jobid"] == document["job"]["id"]
    assert (document["job"]["state"], document["job"]["output"]) == ("completed", "hello\n")


def test_how_long_an_outage_is_borne_is_told(rainbow: Run) -> None:
    away = grpc.StatusCode.UNAVAILABLE
    queued = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS)
    over = pb.Job(id=7, state=pb.JOB_STATE_COMPLETED)
    script = [away, queued, away, pb.WatchJobsResponse(job=over), pb.GetJobsResponse(jobs=[over])]

    with rehearsed_server(*script) as server:
        result = rainbow("submit", "--host", server.address, "--timeout", "120", "--wait", "--", "a")

    told = [line.rpartition("; ")[2] for line in result.stderr.splitlines() if "as rehearsed" in line]
    assert told == ["trying for 2 minutes", "trying for 5 minutes"]
    assert result.exit_code == 0


def test_while_the_job_waits_it_is_told_why(rainbow: Run, remote: Remote) -> None:
    soon = "from rainbow.terminal import why_waiting; why_waiting.SAY_AFTER_SECONDS = 0.1"
    command = [*MAIN[:-1], f"{soon}; {MAIN[-1]}", "submit", "--wait", "-c", "true"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        told = next(line for line in process.stderr if " waits: " in line)
        (jobid,) = [job["id"] for job in answer(rainbow("jobs", "--json"))["jobs"]]
        rainbow("cancel", str(jobid))
        process.communicate(timeout=PATIENCE_SECONDS)

    assert told == f"Job {jobid} waits: {remote.name} has never asked for jobs; no job is before it\n"
    assert process.returncode == 143


def test_each_cluster_of_a_pool_is_told_of_once_until_something_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAY_AFTER_SECONDS", "SAY_AGAIN_AFTER_SECONDS"):
        monkeypatch.setattr(why_waiting, name, 0.01)
    prospects = [pb.Prospect(cluster=name, outlook="paused", text="was paused") for name in ("keebler", "oreo")]
    waits = [
        pb.Job(id=7, state=pb.JOB_STATE_QUEUED, why_waiting=why, prospects=prospects)
        for why in ("2 paused", "2 paused", "1 paused")
    ]
    told: Queue[str] = Queue()

    with (
        rehearsed_server(*(pb.GetJobsResponse(jobs=[job]) for job in waits)) as server,
        Client(server.address, cluster="any", token="t") as client,
        WhyWaiting(client, say=told.put) as waiting,
    ):
        waiting.note(translation.job(waits[0]))
        lines = [told.get(timeout=PATIENCE_SECONDS) for _ in range(4)]

    each = ["  keebler was paused", "  oreo was paused"]
    assert lines == ["Job 7 waits: 2 paused", *each, "Job 7 waits: 1 paused"]


def test_with_json_the_id_has_the_name_that_it_has_everywhere(rainbow: Run) -> None:
    document = answer(rainbow("submit", "--json", "--", "true"))

    assert document["id"] == document["jobid"] > 0


def test_a_cancelled_job_exits_with_143(rainbow: Run, agent: Crew) -> None:
    with subprocess.Popen([*MAIN, "submit", "--wait", "-c", "sleep 60"], stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: [job for job in agent.client.list_jobs() if job.state == JobState.RUNNING])
        (job,) = agent.client.list_jobs()
        agent.client.cancel_jobs([job.id], reason="wrong input file")
        _, told = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 143
    assert "cancelled" in told.splitlines()[-1]
    assert told.splitlines()[-1].endswith(": wrong input file")


def test_whoever_stops_waiting_does_not_stop_the_job(rainbow: Run, agent: Crew, tmp_path: Path) -> None:
    command = [*MAIN, "submit", "--wait", "-c", f"{until_there(tmp_path / 'go')}; echo done"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        # By now it knows the job, and waits for it.
        next(line for line in process.stderr if line.endswith(": running\n"))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    (job,) = agent.client.list_jobs()

    (tmp_path / "go").touch()
    assert process.returncode == 130
    assert told.endswith(f"Job {job.id} goes on without you; `rainbow cancel {job.id}` stops it.\n")
    eventually(lambda: agent.job(job.id).output == "done\n")


def test_exit_codes_that_no_process_can_have_are_1(agent: Crew) -> None:
    jobid = agent.submit()
    eventually(lambda: agent.job(jobid).finished_at)
    job = agent.job(jobid)

    codes = [exit_code_of(replace(job, state=JobState.FAILED, exit_code=code)) for code in (None, 0, -1, 256, 255)]
    assert codes == [1, 1, 1, 1, 255]
