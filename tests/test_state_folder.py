"""The agent's state folder: one agent's, never a copy, and told plainly where it cannot be used."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from rainbow.agent import identity
from rainbow.agent.identity import Place, identity_in
from rainbow.agent.journal import Journal
from rainbow.agent.journal_errors import JournalUnusable
from rainbow.errors import FailedPrecondition
from rainbow.records import JobState
from tests.support.agents import Crew, crew
from tests.support.commandline import MAIN, Run
from tests.support.executors import lines_of
from tests.support.replaced import TRICKS, Trick, put
from tests.support.servers import RainbowServer
from tests.support.wire import joined

ELSEWHERE = "5b3c8d3c8d3c5b3c8d3c8d3c5b3c8d3c"

Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(rainbow: Run, folder: Path) -> Start:
    """Run an agent to its end."""

    def start(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*MAIN, "agent", "--executor", "local", "--once", "--state-dir", str(folder), *words]
        return subprocess.run(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))

    return start


@pytest.fixture
def hired(server: RainbowServer, folder: Path) -> Iterator[Crew]:
    with joined(server) as cluster, crew(cluster, server.address, folder) as agent:
        yield agent


def test_a_folder_keeps_its_identity(folder: Path) -> None:
    name = identity_in(folder, "login1")

    assert identity_in(folder, "login1") == name
    assert identity_in(folder, "login1", moved=True) == name


def test_a_folder_that_was_renamed_keeps_its_identity(folder: Path) -> None:
    name = identity_in(folder, "login1")

    assert identity_in(folder.rename(folder.with_name("other")), "login1") == name


def test_a_copy_is_refused_until_it_is_said_to_be_the_only_one(folder: Path) -> None:
    name = identity_in(folder, "login1")
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)

    with pytest.raises(FailedPrecondition, match=r"is a copy of another one, or it was moved.*--moved"):
        identity_in(copy, "login1")
    assert identity_in(copy, "login1", moved=True) == identity_in(copy, "login1") == name


def test_a_copy_on_another_machine_is_refused_though_its_number_is_the_same(folder: Path) -> None:
    identity_in(folder, "login1")
    known = json.loads((folder / "identity").read_text())
    assert known["inode"] == folder.stat().st_ino

    (folder / "identity").write_text(json.dumps({**known, "machine": ELSEWHERE}))

    with pytest.raises(FailedPrecondition, match="--moved"):
        identity_in(folder, "login1")


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("ext4", Place(inode=7, machine="m")),
        ("nfs4", Place(inode=7, machine="")),
        ("fuse.sshfs", Place(inode=0, machine="")),
        ("overlay", Place(inode=0, machine="m")),
        ("", Place(inode=7, machine="m")),
    ],
)
def test_what_a_file_system_does_not_keep_is_not_compared(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: Place
) -> None:
    folder.mkdir()
    monkeypatch.setattr(identity, "_file_system", lambda handle: kind)
    monkeypatch.setattr(identity, "_machine", lambda: "m")

    identity_in(folder, "login1")

    kept = Place(inode=folder.stat().st_ino if place.inode else 0, machine=place.machine)
    known = json.loads((folder / "identity").read_text())
    assert {**known, "mark": ""} == {**asdict(kept), "mark": ""}
    (folder / "identity").write_text(json.dumps({**known, "inode": 0, "machine": ""}))
    assert identity_in(folder, "login1").endswith(known["mark"])


def test_the_file_system_of_a_folder_is_found(tmp_path: Path) -> None:
    handle = os.open("/proc/self", os.O_RDONLY)
    try:
        assert identity._file_system(handle) == "proc"
    finally:
        os.close(handle)


def test_an_identity_of_an_earlier_version_stays(folder: Path) -> None:
    folder.mkdir()
    (folder / "identity").write_text("3f9a2c\n")

    assert identity_in(folder, "login1") == "login1/3f9a2c"
    shutil.copytree(folder, folder.with_name("copy"))
    with pytest.raises(FailedPrecondition, match="--moved"):
        identity_in(folder.with_name("copy"), "login1")


@pytest.mark.parametrize(
    "content",
    ["", "\n", "3f9a", "login1/3f9a2c", "{", "[]", "{}", '{"mark": "", "inode": 1, "machine": ""}', "é", "x" * 100_000,
     '{"mark": "3f9a2c", "inode": "x", "machine": ""}', '{"mark": "3f9a2c"}'],
)  # fmt: skip
def test_an_identity_that_is_none_is_refused(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "identity").write_text(content)

    with pytest.raises(FailedPrecondition, match="identity"):
        identity_in(folder, "login1")
    assert (folder / "identity").read_text() == content


@pytest.mark.parametrize("trick", [trick for trick in TRICKS if trick.__name__ != "nothing"])
@pytest.mark.parametrize("name", ["identity", "journal.db", "agent.lock"])
def test_what_stands_in_place_of_the_agents_files_is_refused(
    folder: Path, tmp_path: Path, name: str, trick: Trick
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("foreign\n")
    put(trick, folder / name, foreign)

    with pytest.raises(FailedPrecondition), Journal(folder):
        identity_in(folder, "login1")
    assert foreign.read_text() == "foreign\n"


def test_a_folder_that_all_can_change_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "my state"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(FailedPrecondition, match=f"chmod o-w '{folder}'"):
        Journal(folder)


@pytest.mark.parametrize("damage", ["no database", "torn", "a record"])
def test_a_damaged_journal_is_one_clear_line(start: Start, folder: Path, damage: str) -> None:
    assert start().returncode == 0
    journal = folder / "journal.db"
    if damage == "a record":
        with sqlite3.connect(journal) as database:
            database.execute("INSERT INTO job (key, jobid, attempt, step, work, changed_at) VALUES ('k',1,1,1,'{','')")
        database.close()
    else:
        kept = 0 if damage == "no database" else 100
        journal.write_bytes(journal.read_bytes()[:kept] + b"x" * (journal.stat().st_size - kept))

    done = start()

    assert done.returncode == 5
    assert done.stderr.strip().splitlines()[-1].startswith(f"Error: the journal {journal} is damaged (")
    assert "Traceback" not in done.stderr


def test_jobs_are_found_again_without_their_journal(hired: Crew, folder: Path, tmp_path: Path) -> None:
    jobid = hired.submit(f"echo ran >> {tmp_path}/ran; until [ -e {tmp_path}/go ]; do sleep 0.05; done; exit 3")
    hired.work(lambda: hired.job(jobid).state == JobState.RUNNING)
    hired.agent._acceptor.withdraw()
    hired.journal.close()
    (folder / "journal.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(JournalUnusable, match="move it and the files beside it"):
        Journal(folder)

    (folder / "journal.db").rename(folder / "moved-away")
    hired._start()
    (tmp_path / "go").touch()
    (job,) = hired.finish(jobid)

    assert (job.state, job.exit_code) == (JobState.FAILED, 3)
    assert lines_of(tmp_path / "ran") == ["ran"]


def test_an_agent_in_a_copied_folder_does_not_start(start: Start, folder: Path, tmp_path: Path) -> None:
    assert start().returncode == 0
    shutil.copytree(folder, tmp_path / "copy")

    done = start("--state-dir", str(tmp_path / "copy"))

    assert done.returncode == 5
    assert "is a copy of another one" in done.stderr
    assert start("--state-dir", str(tmp_path / "copy"), "--moved").returncode == 0
