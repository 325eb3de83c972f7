"""Removing what jobs left: whatever it is, nothing outside is touched and nothing waits for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rainbow.executors import folders
from rainbow.executors.folders import UNCOUNTED_BYTES, JobFolder, Listed, folder_of
from rainbow.executors.trash import Trash
from tests.support.executors import wait_until
from tests.support.replaced import FOREIGN, TRICKS, Trick, put

ROOT = Path(__file__).parent.parent
KEY = "rainbow-1-1"


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = folder_of(tmp_path / "state", KEY)
    made.make()
    made.output.write_text("output\n")
    return made


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder that is none of the job's business."""
    (tmp_path / "foreign" / "deep").mkdir(parents=True)
    (tmp_path / "foreign" / "file").write_text(FOREIGN)
    return tmp_path / "foreign"


def emptied(folder: JobFolder) -> None:
    trash = Trash(folder.state)
    wait_until(lambda: not trash.empty())


def left(folder: JobFolder) -> list[Path]:
    return [path for path in folder.state.rglob("*") if path.parent != folder.state]


def test_what_is_removed_is_gone(folder: JobFolder) -> None:
    folder.remove()
    emptied(folder)

    assert left(folder) == []
    folder.remove()  # once more does no harm


@pytest.mark.parametrize("trick", TRICKS)
def test_what_a_job_put_there_goes_without_what_it_leads_to(folder: JobFolder, foreign: Path, trick: Trick) -> None:
    put(trick, folder.path / "thing", foreign / "file")
    put(trick, folder.path / "more" / "thing", foreign / "file")
    (folder.path / "link").symlink_to(foreign)

    folder.remove()
    emptied(folder)

    assert left(folder) == []
    assert (foreign / "file").read_text() == FOREIGN


def test_a_link_in_place_of_the_folder_is_not_followed(folder: JobFolder, foreign: Path) -> None:
    folder.path.rename(folder.path.with_name("moved"))
    folder.path.symlink_to(foreign)

    folder.remove()
    emptied(folder)

    assert not folder.path.is_symlink()
    assert (foreign / "file").read_text() == FOREIGN


def test_folders_of_any_depth_go(folder: JobFolder) -> None:
    handle = os.open(folder.path, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("deeper", dir_fd=handle)
        deeper = os.open("deeper", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = deeper
    os.close(handle)

    folder.remove()
    emptied(folder)

    assert left(folder) == []


def test_many_files_go_bit_by_bit(folder: JobFolder) -> None:
    for number in range(20_000):
        (folder.path / f"file\n\x1b[31m{number}").touch()
    folder.remove()
    trash = Trash(folder.state)

    more = trash.empty(seconds=0.01)

    assert more
    wait_until(lambda: not trash.empty())
    assert left(folder) == []


def test_folders_without_any_rights_go(folder: JobFolder) -> None:
    program = f"""
from pathlib import Path
from rainbow.executors.folders import folder_of
from rainbow.executors.trash import Trash
folder = folder_of(Path({str(folder.state)!r}), {KEY!r})
(folder.path / "a" / "b").mkdir(parents=True)
(folder.path / "a" / "b" / "file").touch(mode=0)
for path in (folder.path / "a" / "b", folder.path / "a", folder.path):
    path.chmod(0)
folder.remove()
while Trash(folder.state).empty():
    pass
"""
    # Root without the rights that only root has looks no further than others.
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []

    done = subprocess.run([*drop, sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert done.stderr == ""
    assert left(folder) == []


def test_a_folder_that_is_deeper_than_any_is_larger_than_any_bound(folder: JobFolder) -> None:
    folder.path.joinpath(*["a"] * 40).mkdir(parents=True)

    assert folder.kept_bytes() == UNCOUNTED_BYTES


def test_only_what_is_in_the_folder_is_counted(folder: JobFolder, foreign: Path) -> None:
    alone = folder.kept_bytes()
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "file").write_bytes(bytes(100_000))
    counted = folder.kept_bytes()
    (folder.path / "link").symlink_to(foreign)
    (folder.path / "also").symlink_to(foreign / "file")

    assert alone > 0
    assert 100_000 <= counted - alone <= 200_000
    assert folder.kept_bytes() - counted < 10_000


def test_a_listing_looks_at_so_many_folders_only(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOOKED_AT_FOR_EACH", 2)
    for name in ("a/1", "a/2", "b/1", "b/2", "c/1", "c/2", "d/1", "d/2"):
        (folder.path / "files" / name).mkdir(parents=True)
    for name in ("b/file", "d/2/file"):
        (folder.path / "files" / name).write_text("here")

    assert folder.files(most=5) == Listed(files=(("b/file", 4),), more=True)


def test_a_listing_takes_so_much_time_only(folder: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job may have patterns that take long to compare."""
    monkeypatch.setattr(folders, "LISTING_SECONDS", 0)
    monkeypatch.setattr(folders, "SECONDS_FOR_EACH", 0)
    (folder.path / "files").mkdir()
    for name in ("a", "b"):
        (folder.path / "files" / name).write_text("here")

    assert folder.files() == Listed(files=(("a", 4),), more=True)
