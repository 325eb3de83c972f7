"""rainbow fetch --group: the files of all members, each member's in a folder of its own."""

import json
from pathlib import Path

import pytest

from rainbow.records import GroupWish, JobSpec
from tests.support.agents import Crew, crew
from tests.support.commandline import Run, answer
from tests.support.patience import wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

SCRIPT = "mkdir out; echo $RAINBOW_ARRAY_INDEX > out/a; echo log > log; test $RAINBOW_ARRAY_INDEX != 2"


@pytest.fixture
def group(rainbow: Run, agent: Crew) -> str:
    words = ("submit", "--array", "1-3", "--output-files", "out", "--wait", "--json", "-c", SCRIPT)
    return str(json.loads(rainbow(*words).stdout)["group"])


def written(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_member_has_a_folder(rainbow: Run, group: str, tmp_path: Path) -> None:
    to = tmp_path / "here"

    result = rainbow("fetch", "--group", group, "--to", str(to))

    assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert written(to) == {"1/out/a": "1\n", "2/out/a": "2\n", "3/out/a": "3\n"}


def test_patterns_and_states_say_which(rainbow: Run, group: str, tmp_path: Path) -> None:
    to = tmp_path / "here"

    failed = rainbow("fetch", "--group", group, "log", "--state", "failed", "--to", str(to))
    listed = rainbow("fetch", "--group", group, "*/a", "--list")

    assert (failed.exit_code, written(to)) == (0, {"2/log": "log\n"})
    assert listed.stdout == "".join(f"             2  {index}/out/a\n" for index in (1, 2, 3))


def test_what_is_there_is_kept_and_the_others_come(rainbow: Run, group: str, tmp_path: Path) -> None:
    mine = tmp_path / "here" / "2" / "out"
    mine.mkdir(parents=True)
    (mine / "a").write_text("mine")

    result = rainbow("fetch", "--group", group, "--to", str(tmp_path / "here"))

    assert result.exit_code == 5
    assert f"2: {mine / 'a'} is there already; --force replaces it\n" in result.stderr
    assert result.stderr.endswith("1 of 3 jobs has files that were not fetched.\n")
    assert written(tmp_path / "here") == {"1/out/a": "1\n", "2/out/a": "mine", "3/out/a": "3\n"}
    assert rainbow("fetch", "--group", group, "--to", str(tmp_path / "here"), "--force").exit_code == 0
    assert (mine / "a").read_text() == "2\n"


def test_no_link_to_a_members_folder_is_followed(rainbow: Run, group: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "2").symlink_to(elsewhere)

    result = rainbow("fetch", "--group", group, "--to", str(tmp_path / "here"), "--force")

    assert result.exit_code == 5
    assert "2: 2/out/a: " in result.stderr
    assert not list(elsewhere.iterdir())
    assert (tmp_path / "here" / "3" / "out" / "a").read_text() == "3\n"


def test_what_a_site_keeps_no_longer_is_told_of_its_member(
    rainbow: Run, agent: Crew, group: str, tmp_path: Path
) -> None:
    gone = min(job.id for job in agent.client.list_jobs(group=int(group)))
    agent.executor._folder(f"rainbow-{gone}-1").remove()

    result = rainbow("fetch", "--group", group, "--json", "--to", str(tmp_path / "here"))
    first, *others = [json.loads(line) for line in result.stdout.splitlines()]

    assert result.exit_code == 5
    assert (first["id"], first["array_index"], first["files"]) == (gone, 1, [])
    assert "no longer" in first["error"]["message"]
    assert [(one["folder"], one["files"], one["error"]) for one in others] == [
        (index, [{"name": "out/a", "size": 2}], None) for index in ("2", "3")
    ]


def test_an_agent_that_is_away_is_waited_for_once(
    rainbow: Run, server: RainbowServer, remote: Remote, tmp_path: Path
) -> None:
    with crew(remote, server.address, tmp_path / "state") as agent:
        words = ("submit", "--array", "1-3", "--output-files", "out", "--json", "-c", SCRIPT)
        group = str(answer(rainbow(*words))["group"])
        agent.finish(*(job.id for job in agent.client.list_jobs(group=int(group))))

        result = rainbow("fetch", "--group", group, "--to", str(tmp_path / "here"))

    assert result.exit_code == 5
    assert result.stderr.count("the cluster's agent did not answer: it is away") == 1
    assert result.stderr.count(f"the agent of {remote.name} did not answer before") == 2
    assert result.stderr.endswith("3 of 3 jobs have files that were not fetched.\n")


def test_members_without_files_are_counted(rainbow: Run, agent: Crew, tmp_path: Path) -> None:
    specs = [
        JobSpec(command="true"),
        JobSpec(command="touch a", outputs=("a",)),
        JobSpec(command="true", outputs=("a",)),
        JobSpec(command="touch a", outputs=("a",), needs=("nowhere",), hold_if_unservable=True),
    ]
    queued = agent.client.submit_jobs(specs, group=GroupWish())
    _, second, third, _ = (result.jobid for result in queued.results)
    wait_until(lambda: agent.job(second).finished_at and agent.job(third).finished_at)

    result = rainbow("fetch", "--group", str(queued.group), "--to", str(tmp_path / "here"))

    assert result.exit_code == 0, result.output
    assert written(tmp_path / "here") == {f"job-{second}/a": ""}
    assert result.stderr.endswith("1 of 4 jobs has not started.\n2 of 4 jobs have no such files.\n")


def test_a_group_without_files_is_told(rainbow: Run, remote: Remote) -> None:
    group = str(answer(rainbow("submit", "--array", "0-1", "--json", "--", "true"))["group"])

    result = rainbow("fetch", "--group", group)

    assert result.exit_code == 4
    assert result.stderr == "2 of 2 jobs have not started.\nError: no job of the group has such files\n"


@pytest.mark.parametrize("words", [(), ("7", "--state", "failed"), ("x",), ("7_[1-2]",)])
def test_what_does_not_go_together_is_refused(rainbow: Run, words: tuple[str, ...]) -> None:
    assert rainbow("fetch", *words).exit_code == 2


def test_members_with_one_index_have_folders_of_their_own(rainbow: Run, agent: Crew, tmp_path: Path) -> None:
    specs = [JobSpec(command="touch a", outputs=("a",), array_index=index) for index in (0, 0, 1, None)]
    queued = agent.client.submit_jobs(specs, group=GroupWish())
    _, second, _, fourth = (result.jobid for result in queued.results)
    assert rainbow("wait", "--group", str(queued.group)).exit_code == 0

    rainbow("fetch", "--group", str(queued.group), "--to", str(tmp_path / "here"))

    assert sorted(written(tmp_path / "here")) == sorted(["0/a", f"0-job-{second}/a", "1/a", f"job-{fourth}/a"])
