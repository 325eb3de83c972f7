"""Files that jobs wrote, from the site to a folder of who fetches them."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow import answers
from rainbow.agent import reporter
from rainbow.client import Client
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, RainbowError
from rainbow.executors.folders import MOST_LISTED, Listed, folder_of
from rainbow.records import JobFile, OutputFiles
from rainbow.terminal.fetched_files import chosen, save
from tests.support.agents import Crew
from tests.support.commandline import Run
from tests.support.patience import wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

COMMAND = """mkdir results logs; echo 1,2 > results/a.csv; echo 3,4 > results/b.csv; head -c 3000000 /dev/zero > large
echo no > logs/x; ln -s /etc/passwd link; ln large hard; mkfifo pipe; : > empty; ln -s . loop
touch "$(printf 'bad\\nname')"""


@pytest.fixture
def jobid(agent: Crew) -> int:
    submitted = agent.submit(COMMAND, outputs=("results", "empty"))
    wait_until(lambda: agent.job(submitted).finished_at is not None)
    return submitted


def test_what_a_job_wrote_is_listed_without_links_pipes_and_names_that_do_not_do(agent: Crew, jobid: int) -> None:
    assert agent.client.list_files(jobid) == (
        JobFile(name="empty", size=0),
        JobFile(name="logs/x", size=3),
        JobFile(name="results/a.csv", size=4),
        JobFile(name="results/b.csv", size=4),
    )
    assert agent.job(jobid).outputs == ("results", "empty")


def test_the_record_says_which_files_fit_the_outputs(agent: Crew, jobid: int, rainbow: Run) -> None:
    found = agent.job(jobid).output_files

    assert found == OutputFiles(
        files=(
            JobFile(name="empty", size=0),
            JobFile(name="results/a.csv", size=4),
            JobFile(name="results/b.csv", size=4),
        )
    )
    assert "Files that it left:\n             0  empty\n" in rainbow("job", str(jobid)).stdout
    assert (
        json.loads(rainbow("job", "--json", str(jobid)).stdout)["output_files"]["files"][2]["name"] == "results/b.csv"
    )
    assert [job.output_files for job in agent.client.list_jobs()] == [None]


def test_a_job_that_says_no_outputs_lists_none(agent: Crew) -> None:
    submitted = agent.submit("touch here")
    wait_until(lambda: agent.job(submitted).finished_at is not None)

    assert agent.job(submitted).output_files is None


def test_as_many_are_listed_as_the_record_takes(agent: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "MOST_NAMES_BYTES", 10)
    submitted = agent.submit("touch a1 a2 a3 b4 b5 b6", outputs=("a*", "b*"))
    wait_until(lambda: agent.job(submitted).finished_at is not None)

    found = agent.job(submitted).output_files

    assert found and [file.name for file in found.files] == ["a1", "a2", "a3", "b4", "b5"]
    assert found.more


def test_a_file_comes_whole_and_others_do_not(agent: Crew) -> None:
    content = os.urandom(3_000_000)
    digests = agent.client.put_inputs([content])
    submitted = agent.submit("cp in out; ln -s /etc/passwd link", inputs={"in": digests[0]})
    wait_until(lambda: agent.job(submitted).finished_at is not None)

    found = b"".join(agent.client.read_file(submitted, "out"))

    assert hashlib.sha256(found).hexdigest() == digests[0]
    for name in ("link", "nothing", "in/x"):
        with pytest.raises(FailedPrecondition):
            list(agent.client.read_file(submitted, name))
    for name in ("../output", "/etc/passwd", "a/../../output", ""):
        with pytest.raises(InvalidArgument):
            list(agent.client.read_file(submitted, name))


def test_who_does_not_see_the_job_gets_nothing(
    agent: Crew, jobid: int, server: RainbowServer, other_remote: Remote
) -> None:
    with Client(server.address, cluster=other_remote.name, token=other_remote.token) as stranger:
        with pytest.raises(NotFound):
            stranger.list_files(jobid)
        with pytest.raises(NotFound):
            list(stranger.read_file(jobid, "results/a.csv"))


def test_the_command_line_fetches_and_replaces_nothing(agent: Crew, jobid: int, rainbow: Run, tmp_path: Path) -> None:
    to = tmp_path / "here"

    first = rainbow("fetch", str(jobid), "--to", str(to))
    assert first.exit_code == 0, first.output
    assert sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()) == [
        "empty", "results/a.csv", "results/b.csv",
    ]  # fmt: skip
    (to / "results" / "a.csv").write_text("mine")

    again = rainbow("fetch", str(jobid), "results/*.csv", "--to", str(to))
    assert again.exit_code != 0
    assert "is there already; --force replaces it" in again.output
    assert (to / "results" / "a.csv").read_text() == "mine"

    assert rainbow("fetch", str(jobid), "*/a.csv", "--to", str(to), "--force").exit_code == 0
    assert (to / "results" / "a.csv").read_text() == "1,2\n"
    listed = rainbow("fetch", str(jobid), "logs", "--list", "--json", "--to", str(to))
    assert json.loads(listed.stdout) == {"id": jobid, "files": [{"name": "logs/x", "size": 3}]}
    assert not (to / "logs").exists()
    assert rainbow("fetch", str(jobid), "nothing").exit_code != 0


def test_a_file_that_cannot_be_written_is_named_as_who_fetches_it_knows_it(
    jobid: int, rainbow: Run, tmp_path: Path
) -> None:
    to = tmp_path / "here"
    to.mkdir()
    (to / "results").write_text("in the way")
    (to / "empty").mkdir()

    for words, complaint in (
        (("results/a.csv", "--to", str(to)), f"Error: {to}/results/a.csv: not a directory\n"),
        (("empty", "--to", str(to), "--force"), f"Error: {to}/empty: is a directory\n"),
        (("empty", "--to", str(to / "results")), f"Error: {to}/results: file exists\n"),
    ):
        result = rainbow("fetch", str(jobid), *words)
        assert (result.exit_code, result.stderr) == (5, complaint)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["a", "b/c", "b/d/e.csv"]),
        ("b", ["b/c", "b/d/e.csv"]),
        ("b/", ["b/c", "b/d/e.csv"]),
        ("b/*.csv", []),
        ("*/*/*.csv", ["b/d/e.csv"]),
        ("[a]", ["a"]),
        ("A", []),
    ],
)
def test_a_pattern_is_of_parts(pattern: str, names: list[str]) -> None:
    files = [JobFile(name=name, size=0) for name in ("a", "b/c", "b/d/e.csv")]

    assert [file.name for file in chosen(files, [pattern])] == names


class CountedPatterns(list[str]):
    reads = 0

    def __iter__(self) -> Iterator[str]:
        self.reads += 1
        return super().__iter__()


def test_patterns_are_split_once_for_all_files() -> None:
    patterns = CountedPatterns(["b"])

    assert len(chosen([JobFile(name=f"b/{number}", size=0) for number in range(20)], patterns)) == 20
    assert patterns.reads == 1


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "a\u0000b", "a\nb", "."])
def test_a_site_cannot_name_a_file_outside(name: str) -> None:
    line = json.dumps({"name": name, "size": 1}).encode()

    with pytest.raises(RainbowError, match="does not understand"):
        answers.job_files(line)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"name": "a"}',
        b'{"name": "a", "size": "x"}',
        b"1",
        b"\xff",
        b'{"name": "a", "size": -1}',
        b'{"name": "a", "size": 1e999}',
        b"[" * 100_000,
    ],
)
def test_a_listing_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(RainbowError, match="does not understand"):
        answers.job_files(content)


def test_no_link_of_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to" / "results").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "to" / "a").symlink_to(tmp_path / "elsewhere" / "a")

    with pytest.raises(OSError):
        save([b"x"], "results/a", size=1, to=tmp_path / "to", force=True)
    with pytest.raises(AlreadyExists):
        save([b"x"], "a", size=1, to=tmp_path / "to", force=False)
    save([b"x"], "a", size=1, to=tmp_path / "to", force=True)

    assert not list((tmp_path / "elsewhere").iterdir())
    assert not (tmp_path / "to" / "a").is_symlink()


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise RainbowError("the stream broke")

    with pytest.raises(RainbowError, match="broke"):
        save(broken(), "a", size=2, to=tmp_path, force=False)
    with pytest.raises(RainbowError, match="the job changes it"):
        save([b"x"], "a", size=2, to=tmp_path, force=False)
    assert not list(tmp_path.iterdir())

    def endless() -> Iterator[bytes]:
        while True:
            yield b"xx"

    assert save(endless(), "a", size=3, to=tmp_path, force=False) == 3
    assert (tmp_path / "a").read_bytes() == b"xxx"


def test_of_very_many_files_the_first_are_listed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    (folder.path / "files").mkdir()
    for number in range(MOST_LISTED + 10):
        (folder.path / "files" / f"{number:06}").touch()

    listed = folder.files()
    assert (len(listed.files), listed.more) == (MOST_LISTED, True)


def test_a_folder_that_is_a_link_lists_nothing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    (folder.path / "files").symlink_to("/etc")

    with pytest.raises(OSError):
        folder.files()


def test_only_folders_that_may_hold_what_fits_are_looked_into(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    for name in ("scratch/1", "scratch/2", "scratch/3", "results/x/1.csv", "results/x/1.log", "results/2.csv"):
        path = folder.path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert folder.files(["results/*/*.csv"], most=2) == Listed(files=(("results/x/1.csv", 0),), more=False)
    assert folder.files(["results/*"], most=2).more
    assert folder.files(["none"]) == Listed(files=(), more=False)


def test_a_folder_that_cannot_be_made_is_named(rainbow: Run, jobid: int) -> None:
    result = rainbow("fetch", str(jobid), "--to", "/proc/none")

    assert (result.exit_code, result.stderr) == (5, "Error: /proc/none: no such file or directory\n")
