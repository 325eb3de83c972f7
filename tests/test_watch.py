"""rainbow watch and rainbow logs."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rainbow.records import Job, JobState
from rainbow.terminal.following import follow
from tests.support.agent_cast import Hire
from tests.support.agents import Crew, crew
from tests.support.commandline import MAIN, Run, answer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.terminals import at_terminal
from tests.support.wire import Remote


@pytest.fixture
def agent(server: RainbowServer, remote: Remote, tmp_path: Path) -> Iterator[Crew]:
    with crew(remote, server.address, tmp_path / "state") as agent:
        yield agent


def test_jobs_that_are_over_are_shown_once_and_the_first_failure_is_the_exit_code(rainbow: Run, agent: Crew) -> None:
    jobs = agent.finish(agent.submit("true"), agent.submit("exit 7"), agent.submit("exit 9"))

    result = rainbow("watch", *(str(job.id) for job in jobs))

    assert result.exit_code == 7
    assert [line.split(": ", 1)[1] for line in result.stdout.splitlines()] == [
        "completed",
        "failed with exit code 7",
        "failed with exit code 9",
    ]


def test_each_step_is_a_document_on_a_line(rainbow: Run, agent: Crew) -> None:
    (job,) = agent.finish(agent.submit("true"))

    result = rainbow("watch", "--json", str(job.id))

    (document,) = map(json.loads, result.stdout.splitlines())
    assert (document["id"], document["state"]) == (job.id, "completed")


def test_a_native_id_alone_is_no_step(agent: Crew) -> None:
    (job,) = agent.finish(agent.submit("true"))
    accepted = replace(job, state=JobState.ACCEPTED, native_id="")
    steps = [accepted, replace(accepted, native_id="rainbow-1-1"), replace(accepted, reason="Resources"), job]
    told: list[Job] = []

    follow(steps, told.append)

    assert told == [steps[0], steps[2], steps[3]]


def test_a_wish_to_stop_is_a_step(rainbow: Run, agent: Crew) -> None:
    jobid = agent.submit("sleep 600")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    agent.client.cancel_jobs([jobid], reason="enough")

    with subprocess.Popen([*MAIN, "watch", str(jobid)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        agent.finish(jobid)
        rest, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert first.endswith("running, asked to stop: enough\n")
    assert ": enough" in rest.splitlines()[-1] and "cancelled" in rest.splitlines()[-1]
    assert process.returncode == 143


def test_an_unknown_job_is_not_found(rainbow: Run) -> None:
    assert rainbow("watch", "2147483647").exit_code == 4
    assert rainbow("logs", "2147483647").exit_code == 4


def test_the_output_is_printed_as_it_is(rainbow: Run, agent: Crew) -> None:
    (job,) = agent.finish(agent.submit(r"printf '\033[1mbold\n'; echo no >&2"))

    assert rainbow("logs", str(job.id)).stdout == "\x1b[1mbold\nno\n"
    assert answer(rainbow("logs", "--json", str(job.id))) == {
        "id": job.id,
        "state": "completed",
        "output": "\x1b[1mbold\nno\n",
        "output_is_cut": False,
    }


def test_the_output_cannot_drive_a_terminal(rainbow: Run, agent: Crew) -> None:
    (job,) = agent.finish(agent.submit(r"printf '\033[2Jgone'"))

    assert at_terminal([*MAIN, "logs", str(job.id)]) == r"\x1b[2Jgone"


def test_a_job_that_wrote_nothing_says_so(rainbow: Run, agent: Crew) -> None:
    jobid = agent.submit("true")

    result = rainbow("logs", str(jobid))

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Job {jobid} is queued; nothing is known of its output.\n"


def test_a_running_jobs_output_is_there_after_a_heartbeat(rainbow: Run, hire: Hire) -> None:
    agent = hire(lease_seconds=10)
    jobid = agent.submit("echo so far; sleep 600")
    agent.work(lambda: agent.job(jobid).output == "so far\n")

    assert rainbow("logs", str(jobid)).stdout == "so far\n"
    agent.client.cancel_jobs([jobid])
    agent.finish(jobid)
