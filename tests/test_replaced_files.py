"""Jobs that put something else in place of what the agent reads: none holds it up, reads its files, or harms others."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, Site, Ticket
from rainbow.executors.folders import MAX_OUTPUT_BYTES, JobFolder, folder_of
from rainbow.executors.table import EXECUTORS
from tests.support.executors import hand_over, progress, wait_for, wait_until
from tests.support.replaced import FOREIGN, GARBAGE, TRICKS, Trick, leased, put

ROOT = Path(__file__).parent.parent
KEY = "rainbow-1-1"
# Less than a lease on a file holds up those who wait for it.
AT_ONCE_SECONDS = 30


@pytest.fixture
def site(tmp_path: Path) -> Site:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return Site(folder=tmp_path / "state", environment=environment, slots=4)


@pytest.fixture
def folder(site: Site) -> JobFolder:
    return folder_of(site.folder, KEY)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A file on the same disk that is none of the job's business."""
    file = tmp_path / "secret"
    file.write_text(FOREIGN)
    return file


@pytest.fixture
def local(site: Site) -> Executor:
    return EXECUTORS["local"].make(site)


@pytest.fixture
def running(local: Executor) -> Iterator[Ticket]:
    """A job that runs until it is cancelled."""
    ticket = hand_over(local, KEY, "echo begun; sleep 300")
    wait_until(lambda: local.output(ticket) == "begun\n")
    yield ticket
    local.cancel([ticket])
    wait_for(local, ticket, JobPhase.ENDED, JobPhase.GONE)


def shown(executor: Executor, ticket: Ticket) -> str:
    """What the agent shows of the output: nothing where it cannot be read."""
    try:
        return executor.output(ticket)
    except OSError:
        return ""


@pytest.mark.parametrize("trick", TRICKS)
def test_what_stands_in_place_of_the_output_is_not_shown(
    local: Executor, running: Ticket, folder: JobFolder, foreign: Path, trick: Trick
) -> None:
    put(trick, folder.output, foreign)

    assert shown(local, running) == ""


def test_an_output_that_may_not_be_read_holds_up_nothing(local: Executor, running: Ticket, folder: JobFolder) -> None:
    folder.output.chmod(0)
    folder.path.chmod(0)

    assert shown(local, running) in ("", "begun\n")
    assert progress(local, running).phase == JobPhase.RUNNING


def test_an_output_that_another_process_holds_is_not_waited_for(
    local: Executor, running: Ticket, folder: JobFolder
) -> None:
    folder.output.unlink()
    folder.output.write_text(FOREIGN)
    with leased(folder.output):
        began = time.monotonic()

        assert shown(local, running) == ""
        assert time.monotonic() - began < AT_ONCE_SECONDS


def test_of_an_endless_output_only_the_end_is_read(local: Executor, running: Ticket, folder: JobFolder) -> None:
    with folder.output.open("r+b") as file:
        file.truncate(2**42)
        file.seek(0, os.SEEK_END)
        file.write(b"the end\n")

    text = shown(local, running)

    assert text.endswith("\ufffdthe end\n")
    assert len(text.encode()) <= MAX_OUTPUT_BYTES


@pytest.mark.parametrize("part", ["jobs", f"jobs/{KEY}"])
def test_a_folder_that_is_a_link_is_not_followed(
    local: Executor, running: Ticket, folder: JobFolder, site: Site, tmp_path: Path, part: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (site.folder / part).rename(elsewhere)
    (site.folder / part).symlink_to(elsewhere)

    assert folder.output.read_text() == "begun\n"
    assert shown(local, running) == ""


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("name", ["started", "ended", "lock", "slots"])
def test_what_stands_in_place_of_a_note_changes_nothing_for_a_job_that_runs(
    local: Executor, running: Ticket, folder: JobFolder, site: Site, foreign: Path, name: str, trick: Trick
) -> None:
    put(trick, folder.notes.path / name, foreign)

    assert progress(local, running).phase == JobPhase.RUNNING
    assert local.capacity().slots == EXECUTORS["local"].make(site).capacity().slots == 3
    assert foreign.read_text() == FOREIGN


@pytest.mark.parametrize("content", GARBAGE)
def test_words_without_sense_are_no_words(local: Executor, folder: JobFolder, content: bytes) -> None:
    folder.make()
    for name in ("started", "ended", "slots"):
        (folder.notes.path / name).write_bytes(content)

    seen = progress(local, Ticket(key=KEY, native_id="4000000"))

    assert seen.phase == JobPhase.GONE
    assert local.capacity().slots == 4


def test_an_end_that_a_job_wrote_itself_is_not_believed(local: Executor, running: Ticket, folder: JobFolder) -> None:
    (folder.notes.path / "ended").write_text(f"exited 0 {time.time()}\n")

    assert progress(local, running).phase == JobPhase.RUNNING
    local.cancel([running])
    assert wait_for(local, running, JobPhase.ENDED).ending == Ending.CANCELLED


def test_a_job_that_removed_all_its_files_is_still_cancelled(
    local: Executor, running: Ticket, folder: JobFolder
) -> None:
    folder.remove()
    assert progress(local, running).phase == JobPhase.RUNNING

    local.cancel([running])

    wait_for(local, running, JobPhase.GONE)


def test_names_that_are_no_jobs_take_no_slots(local: Executor, site: Site) -> None:
    for name in ("a b", "\x1b[31m", "new\nline", "x" * 200, "é"):
        (site.folder / "notes" / name).mkdir(parents=True)

    assert local.capacity().slots == 4


def test_the_next_job_runs_whatever_the_last_one_left(local: Executor, folder: JobFolder, foreign: Path) -> None:
    for trick in TRICKS:
        put(trick, folder.output, foreign)

        other = hand_over(local, f"rainbow-2-{TRICKS.index(trick) + 1}", "echo done")

        assert wait_for(local, other, JobPhase.ENDED).exit_code == 0
        assert local.output(other) == "done\n"
        folder.remove()


def test_a_job_cannot_look_into_its_runner(site: Site) -> None:
    command = "for file in environ maps mem; do head -c 1 /proc/$PPID/$file; done 2>&1; readlink /proc/$PPID/cwd"
    program = f"""
from pathlib import Path
from rainbow.executors.executor import JobPhase, Site
from rainbow.executors.table import EXECUTORS
from tests.support.executors import hand_over, wait_for
local = EXECUTORS["local"].make(Site(folder=Path({str(site.folder)!r}), environment={dict(site.environment)!r}))
ticket = hand_over(local, {KEY!r}, {command!r})
wait_for(local, ticket, JobPhase.ENDED)
print(local.output(ticket))
"""
    # Root without the rights that only root has looks no further than others.
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []

    done = subprocess.run([*drop, sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)

    assert [line.rpartition(": ")[2] for line in done.stdout.split("\n") if line] == ["Permission denied"] * 3
