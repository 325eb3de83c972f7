"""rainbow signal."""

import pytest

from tests.support.agents import Crew
from tests.support.commandline import Run, answer
from tests.support.patience import wait_until
from tests.support.wire import Remote
from tests.support.wishes import run_at, wishes_of

UNKNOWN = "2147483647"


def test_a_signal_reaches_the_job(rainbow: Run, agent: Crew) -> None:
    command = "trap 'echo told; exit 3' USR1; echo ready; while :; do sleep 0.1; done"
    jobid = agent.submit(command)
    wait_until(lambda: rainbow("logs", str(jobid)).stdout == "ready\n")

    result = rainbow("signal", str(jobid), "USR1")
    wait_until(lambda: agent.job(jobid).finished_at is not None)

    assert (result.exit_code, result.stdout) == (0, f"Job {jobid}: the cluster's agent will send the signal\n")
    assert agent.job(jobid).exit_code == 3


@pytest.mark.parametrize("word", ["TERM", "SIGTERM", "term", "sigterm"])
def test_a_signal_has_its_name_with_and_without_sig(rainbow: Run, remote: Remote, word: str) -> None:
    jobid = run_at(remote, agent="login1")

    assert answer(rainbow("signal", str(jobid), word, "--json"))["results"][0]["outcome"] == "requested"
    (wish,) = wishes_of(remote, agent="login1")
    assert (list(wish.jobids), wish.signal) == ([jobid], "TERM")


def test_a_job_that_does_not_run_is_sent_none(rainbow: Run, remote: Remote) -> None:
    running, waiting = run_at(remote, agent="login1"), remote.submit().jobid

    result = rainbow("signal", str(running), str(waiting), "USR1")

    assert result.exit_code == 5
    assert result.stdout == f"Job {running}: the cluster's agent will send the signal\n"
    assert result.stderr.startswith(f"Job {waiting}: ")


def test_an_unknown_job_is_not_found(rainbow: Run, remote: Remote) -> None:
    result = rainbow("signal", str(remote.submit().jobid), UNKNOWN, "USR1")

    assert result.exit_code == 4
    assert f"Job {UNKNOWN}: " in result.stderr


def test_the_eleventh_signal_that_waits_is_refused(rainbow: Run, remote: Remote) -> None:
    jobid = str(run_at(remote, agent="login1"))
    codes = [rainbow("signal", jobid, "USR1").exit_code for _ in range(10)]

    assert codes == [0] * 10
    assert rainbow("signal", jobid, "USR1").exit_code == 5


@pytest.mark.parametrize("words", [("7",), ("7", "KILL"), ("7", "9"), ("USR1", "7"), ("0", "USR1")])
def test_what_is_no_signal_or_no_job_is_refused(rainbow: Run, words: tuple[str, ...]) -> None:
    assert rainbow("signal", *words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("7",), "Missing argument 'SIGNAL'."),
        (("12_3",), "Missing argument 'SIGNAL'."),
        (("USR1",), "Missing argument 'ID...'."),
        (("7", "KILL"), "`rainbow cancel` ends jobs."),
    ],
)
def test_what_is_missing_or_meant_is_named(rainbow: Run, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in rainbow("signal", *words).stderr
