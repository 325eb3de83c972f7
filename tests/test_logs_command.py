"""rainbow logs of one job."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from rainbow.agent.policy import Policy
from tests.support.agents import Crew, crew
from tests.support.commandline import MAIN, Run
from tests.support.executors import until_there
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.support.wishes import at_work


@pytest.fixture
def agent(server: RainbowServer, remote: Remote, tmp_path: Path) -> Iterator[Crew]:
    policy = Policy(max_nodes=1)
    with crew(remote, server.address, tmp_path / "state", policy=policy) as made, at_work(made):
        yield made


def finished(agent: Crew, command: str, nodes: int = 1) -> str:
    jobid = agent.submit(command, nodes=nodes)
    wait_until(lambda: agent.job(jobid).finished_at is not None)
    return str(jobid)


def test_both_outputs_are_followed_to_the_end_of_the_job(rainbow: Run, agent: Crew) -> None:
    jobid = agent.submit("echo begun; echo trouble >&2; sleep 1; echo over")
    wait_until(lambda: agent.job(jobid).started_at is not None)

    result = rainbow("logs", "--follow", str(jobid))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "begun\nover\n", "trouble\n")


@pytest.mark.parametrize("options", [[], ["--stderr"], ["--from", "0"]], ids=" ".join)
def test_a_job_that_waits_is_followed_once_it_runs(
    rainbow: Run, remote: Remote, server: RainbowServer, tmp_path: Path, options: list[str]
) -> None:
    jobid = remote.submit(command="sleep 1; echo over; echo over >&2").jobid

    with subprocess.Popen([*MAIN, "logs", "-f", *options, str(jobid)], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith(f"  Job {jobid}: queued\n")
        with crew(remote, server.address, tmp_path / "state", policy=Policy(max_nodes=1)) as made, at_work(made):
            stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, stdout) == (0, "over\n")


def test_each_attempt_of_a_job_is_followed(rainbow: Run, agent: Crew, tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f'echo attempt "$RAINBOW_ATTEMPT"; {until_there(go)}; [ "$RAINBOW_ATTEMPT" -ge 2 ]'
    jobid = agent.submit(command, retry_most=1, retry_on=("exit_code",))
    wait_until(lambda: agent.job(jobid).started_at is not None)

    with subprocess.Popen([*MAIN, "logs", "--follow", str(jobid)], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        go.touch()
        rest, told = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, first + rest) == (0, "attempt 1\nattempt 2\n")
    assert f"  Job {jobid}: blocked in attempt 2: after attempt 1" in told


def test_one_output_is_printed_from_a_byte_on(rainbow: Run, agent: Crew) -> None:
    jobid = finished(agent, "printf 0123456789; printf abcdef >&2")

    assert rainbow("logs", "--from", "4", jobid).stdout == "456789"
    assert rainbow("logs", "--stderr", "--from", "4", jobid).stdout == "ef"
    assert rainbow("logs", "--stderr", jobid).stdout == "abcdef"
    assert rainbow("logs", "--tail", jobid).stdout == "0123456789abcdef"


def test_what_the_site_keeps_no_longer_is_the_end_on_record(rainbow: Run, agent: Crew) -> None:
    jobid = finished(agent, "echo gone")
    agent.executor._folder(f"rainbow-{jobid}-1").remove()

    for words in (("logs", jobid), ("logs", "--from", "0", jobid)):
        result = rainbow(*words)
        assert (result.exit_code, result.stdout) == (0, "gone\n")
        assert result.stderr == "Only the end of the output is known: the site keeps the job's output no longer.\n"


@pytest.mark.parametrize("option", ["--follow", "--stderr", "--tail"])
def test_a_job_that_its_agent_refused_never_started(rainbow: Run, agent: Crew, option: str) -> None:
    jobid = finished(agent, "true", nodes=2)

    result = rainbow("logs", option, jobid)

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Job {jobid} never started; it failed: {agent.job(int(jobid)).reason}.\n"


def test_a_job_that_was_cancelled_in_the_queue_never_started(rainbow: Run, remote: Remote) -> None:
    jobid = str(remote.submit().jobid)
    rainbow("cancel", jobid)

    result = rainbow("logs", jobid)

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"Job {jobid} never started; it is cancelled")


def test_a_job_that_started_and_wrote_nothing_is_no_such_job(rainbow: Run, agent: Crew) -> None:
    result = rainbow("logs", finished(agent, "true"))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("option", ["--follow", "--stderr", "--from=0"])
@pytest.mark.parametrize("record", ["--tail", "--json"])
def test_the_record_has_no_options_of_the_stream(rainbow: Run, option: str, record: str) -> None:
    result = rainbow("logs", record, option, "7")

    assert result.exit_code == 2
    assert "leave out the options of the stream" in result.stderr


def test_an_output_that_cannot_be_written_is_no_success(rainbow: Run, agent: Crew) -> None:
    jobid = finished(agent, "echo lost")

    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*MAIN, "logs", jobid], stdout=full, stderr=PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, "Error: cannot go on: no space left on device\n")


@pytest.mark.parametrize("words", [["logs", "--follow"], ["submit", "--wait", "-c"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_the_command_while_the_job_runs(
    rainbow: Run, agent: Crew, tmp_path: Path, words: list[str]
) -> None:
    over = tmp_path / "over"
    command = f"echo begun; while [ ! -e {over} ]; do sleep 0.1; done"
    if words[0] == "logs":
        jobid = agent.submit(command)
        wait_until(lambda: agent.job(jobid).started_at is not None)
        command = str(jobid)
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run([*MAIN, *words, command], stdout=writing, check=False, timeout=PATIENCE_SECONDS)
    os.close(writing)
    over.touch()

    assert done.returncode == 141
