"""rainbow logs --group."""

import json
from pathlib import Path

import pytest

from rainbow.records import JobState
from rainbow.terminal.live_output import labeled
from tests.support.agents import Crew, crew
from tests.support.commandline import Run, answer
from tests.support.patience import wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

SCRIPT = """i=$RAINBOW_ARRAY_INDEX; echo "begun $i"; echo "trouble $i" >&2; printf "over $i"; test $i != 2"""


@pytest.fixture
def group(rainbow: Run, agent: Crew) -> str:
    done = str(answer(rainbow("submit", "--array", "1-3", "--json", "--", "sh", "-c", SCRIPT))["group"])
    wait_until(lambda: answer(rainbow("group", done, "--json"))["finished_at"] is not None)
    return done


def test_lines_are_labeled_wherever_the_parts_begin() -> None:
    whole = b"a\n\nbc\nd"

    for size in range(1, 8):
        parts = [whole[start : start + size] for start in range(0, len(whole), size)]
        assert b"".join(labeled([b"", *parts], "7")) == b"7: a\n7: \n7: bc\n7: d\n"
    assert list(labeled([b""], "7")) == []


def test_what_all_members_wrote_comes_in_the_order_of_their_indexes(rainbow: Run, group: str) -> None:
    result = rainbow("logs", "--group", group)

    assert result.exit_code == 0
    assert result.stdout == "".join(f"{index}: begun {index}\n{index}: over {index}\n" for index in (1, 2, 3))
    assert result.stderr == "1: trouble 1\n2: trouble 2\n3: trouble 3\n"


def test_the_errors_of_those_that_failed_are_printed_alone(rainbow: Run, group: str) -> None:
    result = rainbow("logs", "--group", group, "--state", "failed", "--stderr")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "2: trouble 2\n", "")


def test_each_member_is_a_document_on_a_line(rainbow: Run, agent: Crew, group: str) -> None:
    found = [json.loads(line) for line in rainbow("logs", "--group", group, "--json").stdout.splitlines()]

    assert [(one["array_index"], one["state"], one["output_is_cut"]) for one in found] == [
        (1, "completed", False),
        (2, "failed", False),
        (3, "completed", False),
    ]
    assert [one["output"] for one in found] == [agent.job(one["id"]).output for one in found]


def test_what_the_site_keeps_no_longer_comes_from_the_record(rainbow: Run, agent: Crew, group: str) -> None:
    gone = min(job.id for job in agent.client.list_jobs(group=int(group)))
    agent.executor._folder(f"rainbow-{gone}-1").remove()

    result = rainbow("logs", "--group", group)

    assert result.stdout.startswith("1: begun 1\n1: over 1trouble 1\n2: begun 2\n2: over 2\n3: begun 3\n")
    assert result.stderr.startswith(
        "1: only the end of the output is known: the site keeps the job's output no longer."
    )
    assert "\n2: trouble 2\n3: trouble 3\n" in result.stderr


def test_an_agent_that_is_away_is_waited_for_once(
    rainbow: Run, server: RainbowServer, remote: Remote, tmp_path: Path
) -> None:
    with crew(remote, server.address, tmp_path / "state") as agent:
        done = str(answer(rainbow("submit", "--array", "1-3", "--json", "--", "sh", "-c", SCRIPT))["group"])
        agent.finish(*(job.id for job in agent.client.list_jobs(group=int(done))))

        result = rainbow("logs", "--group", done)

    assert result.exit_code == 0
    assert result.stderr.count("only the ends are known from here on: the cluster's agent did not answer") == 1
    assert result.stdout.count("begun") == 3


def test_members_that_wait_are_counted(rainbow: Run, remote: Remote) -> None:
    done = str(answer(rainbow("submit", "--array", "0-4", "--json", "--", "true"))["group"])

    result = rainbow("logs", "--group", done)
    of_failed = rainbow("logs", "--group", done, "--state", JobState.FAILED.value)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "5 of 5 jobs have not started.\n")
    assert (of_failed.exit_code, of_failed.stdout, of_failed.stderr) == (0, "", "No jobs.\n")


def test_members_that_never_started_are_counted(rainbow: Run, remote: Remote) -> None:
    done = str(answer(rainbow("submit", "--array", "0-4", "--json", "--", "true"))["group"])
    rainbow("cancel", *(str(job["id"]) for job in answer(rainbow("jobs", "--group", done, "--json"))["jobs"]))

    result = rainbow("logs", "--group", done)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "5 of 5 jobs are over and never started.\n")


def test_an_unknown_group_is_not_found(rainbow: Run) -> None:
    assert rainbow("logs", "--group", "2147483647").exit_code == 4


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("7", "--group", "1"),
        ("7", "--state", "failed"),
        ("--group", "1", "--follow"),
        ("--group", "1", "--from", "0"),
    ],
)
def test_what_does_not_go_together_is_refused(rainbow: Run, words: tuple[str, ...]) -> None:
    assert rainbow("logs", *words).exit_code == 2
