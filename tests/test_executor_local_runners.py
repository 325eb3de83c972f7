"""Runners of local jobs take one job after another, and are as safe as if each had one."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from rainbow.executors import local as local_executor
from rainbow.executors.executor import Ending, Executor, JobPhase, NoRoom, Site, Ticket
from rainbow.executors.runner import IdleRunners, Runner
from rainbow.executors.table import EXECUTORS
from rainbow.runner.descendants import process_of
from rainbow.runner.job_loop import MOST_JOBS
from rainbow.runner.supervisor import CANCEL, cancel_value
from rainbow.system.pidfd import send_signal
from tests.support.executors import hand_over, lines_of, progress, until_there, wait_for, wait_until
from tests.support.patience import PATIENCE_SECONDS


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(folder=tmp_path / "state", environment=dict(os.environ), slots=4)


def local(site: Site) -> Executor:
    return EXECUTORS["local"].make(site)


@pytest.fixture
def executor(site: Site) -> Executor:
    return local(site)


def key(number: int) -> str:
    return f"rainbow-{number}-1"


def lives(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended(executor: Executor, number: int, command: str, **more: object) -> Ticket:
    """A job that is over, whose runner is idle."""
    told = threading.Event()
    executor.notify(told.set)
    ticket = hand_over(executor, key(number), command, **more)
    assert told.wait(PATIENCE_SECONDS)
    return ticket


def running(executor: Executor, number: int, go: Path, *, then: str = "exit 0") -> Ticket:
    return hand_over(executor, key(number), f"{until_there(go)}; {then}")


def end(executor: Executor, ticket: Ticket) -> int | None:
    return wait_for(executor, ticket, JobPhase.ENDED).exit_code


def test_a_runner_takes_one_job_after_another_and_keeps_them_apart(executor: Executor) -> None:
    first = ended(executor, 1, "echo one; echo $MINE >&2; exit 3", environment={"MINE": "secret"})
    second = ended(executor, 2, "echo two; echo ${MINE-none} >&2; ls /proc/self/fd | wc -l; exit 4")

    assert first.native_id == second.native_id
    assert [end(executor, ticket) for ticket in (first, second)] == [3, 4]
    assert executor.output(first) == "one\nsecret\n"
    assert executor.output(second) == "two\n4\nnone\n", "standard input and outputs, and that of ls"


def test_a_runner_takes_so_many_jobs_and_no_more(executor: Executor) -> None:
    tickets = [ended(executor, number, "true") for number in range(1, MOST_JOBS + 2)]

    assert {ticket.native_id for ticket in tickets[:MOST_JOBS]} == {tickets[0].native_id}
    assert tickets[-1].native_id != tickets[0].native_id
    wait_until(lambda: not lives(tickets[0].native_id))


def test_a_cancel_that_comes_late_leaves_the_runners_next_job_alone(executor: Executor, tmp_path: Path) -> None:
    first = ended(executor, 1, "true")
    second = running(executor, 2, tmp_path / "go")
    assert first.native_id == second.native_id

    executor.cancel([first])
    handle = os.pidfd_open(int(second.native_id))
    send_signal(handle, CANCEL, cancel_value(key(1)))  # by an agent that had looked before the first job ended
    os.close(handle)
    (tmp_path / "go").touch()

    assert end(executor, second) == 0
    assert end(executor, first) == 0


def test_a_later_job_of_a_runner_is_cancelled(executor: Executor, tmp_path: Path) -> None:
    first = ended(executor, 1, "true")
    second = running(executor, 2, tmp_path / "go")
    assert first.native_id == second.native_id

    local(Site(folder=tmp_path / "state", environment={}, slots=4)).cancel([second])

    assert wait_for(executor, second, JobPhase.ENDED).ending is Ending.CANCELLED


def test_what_a_job_writes_into_its_notes_does_not_keep_it_from_being_cancelled(
    executor: Executor, site: Site, tmp_path: Path
) -> None:
    ended(executor, 1, "true")
    second = running(executor, 2, tmp_path / "go")
    note = site.folder / "notes" / key(2) / "started"
    note.write_text(f"{second.native_id} 0 57\n")

    executor.cancel([second])

    assert wait_for(executor, second, JobPhase.ENDED).ending is Ending.CANCELLED


STOPPING = "kill -STOP $PPID; sleep 1000"


def stopped(ticket: Ticket) -> bool:
    found = process_of(int(ticket.native_id))
    return found is not None and found.is_stopped


def test_a_job_that_stops_its_runner_is_cancelled_all_the_same(executor: Executor) -> None:
    ticket = hand_over(executor, key(1), STOPPING)
    wait_until(lambda: stopped(ticket))

    executor.cancel([ticket])

    assert wait_for(executor, ticket, JobPhase.ENDED).ending is Ending.CANCELLED


def test_a_job_that_stops_its_runner_ends_at_its_time_limit_all_the_same(executor: Executor) -> None:
    ticket = hand_over(executor, key(1), STOPPING, time_limit_seconds=1)
    wait_until(lambda: stopped(ticket))

    def has_ended() -> bool:
        executor.tidy([ticket])
        return progress(executor, ticket).phase is JobPhase.ENDED

    wait_until(has_ended)
    assert progress(executor, ticket).ending is Ending.TIMED_OUT


def test_what_a_job_does_to_its_runner_is_not_handed_on(executor: Executor) -> None:
    first = ended(executor, 1, "true")
    resource.prlimit(int(first.native_id), resource.RLIMIT_FSIZE, (4096, 4096))
    second = ended(executor, 2, "ulimit -f")
    os.setpriority(os.PRIO_PROCESS, int(second.native_id), 7)
    third = ended(executor, 3, "nice")

    assert executor.output(second) == "unlimited\n"
    assert executor.output(third) == f"{os.getpriority(os.PRIO_PROCESS, 0)}\n"
    assert len({first.native_id, second.native_id, third.native_id}) == 3


LEFT_BEHIND = """
import subprocess
from rainbow.runner import descendants
descendants.LAST_SECONDS = 0.1
# As where it forks and ends faster than /proc can be read.
descendants.descendants = lambda: []
with subprocess.Popen(["sleep", "1000"]) as child:
    print(descendants.kill_all())
    child.kill()
"""


def test_a_child_that_cannot_be_caught_is_counted_as_left() -> None:
    """A runner that has such a child takes no other job."""
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert done.stdout == "1\n", done.stderr


def test_an_idle_runner_that_was_killed_is_replaced(executor: Executor) -> None:
    first = ended(executor, 1, "true")

    os.kill(int(first.native_id), signal.SIGKILL)
    second = hand_over(executor, key(2), "exit 5")

    assert end(executor, second) == 5
    assert second.native_id != first.native_id


def test_a_runner_that_was_killed_before_it_read_a_job_is_let_go() -> None:
    idle = IdleRunners()
    (killed, its_end), (good, _other_end) = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
    idle.put(Runner(killed, idle))
    killed.send(b"rainbow-1-1")
    its_end.close()

    idle.put(last := Runner(good, idle))

    assert idle.take() is last
    assert idle.take() is None
    idle.close()
    last.close()


def test_an_idle_runner_that_is_stopped_is_replaced_and_killed(executor: Executor, tmp_path: Path) -> None:
    """A job of the agent's user may stop it. The job would wait for it for ever."""
    first = ended(executor, 1, "true")

    os.kill(int(first.native_id), signal.SIGSTOP)
    second = hand_over(executor, key(2), f"echo ran >> {tmp_path}/ran; exit 6")

    assert end(executor, second) == 6
    assert second.native_id != first.native_id
    assert lines_of(tmp_path / "ran") == ["ran"]
    wait_until(lambda: not lives(first.native_id))


def test_idle_runners_end_with_their_executor(site: Site) -> None:
    executor = local(site)
    ticket = ended(executor, 1, "true")
    assert lives(ticket.native_id)

    del executor

    wait_until(lambda: not lives(ticket.native_id))


def test_another_agent_sees_the_end_of_a_job_whose_runner_took_the_next_one(
    executor: Executor, site: Site, tmp_path: Path
) -> None:
    """No two agents share a state folder. Should they, none takes one job for another."""
    first = running(executor, 1, tmp_path / "go", then="exit 7")
    other = local(site)
    assert progress(other, first).phase is JobPhase.RUNNING
    told = threading.Event()
    executor.notify(told.set)
    (tmp_path / "go").touch()
    assert told.wait(PATIENCE_SECONDS)

    second = running(executor, 2, tmp_path / "go again")

    assert first.native_id == second.native_id
    assert end(other, first) == 7
    assert other.capacity().slots == 3
    (tmp_path / "go again").touch()
    assert end(other, second) == 0


def test_a_job_that_is_cancelled_while_it_waits_for_room_never_starts(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_executor, "ROOM_SECONDS", PATIENCE_SECONDS)
    first = running(executor, 1, tmp_path / "go")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(hand_over, executor, key(2), f"echo ran >> {tmp_path}/ran", nodes=4)
        wait_until(lambda: executor._line)  # type: ignore[attr-defined]

        executor.cancel([Ticket(key=key(2), native_id="")])

        with pytest.raises(NoRoom, match="cancelled"):
            waiting.result(PATIENCE_SECONDS)
    (tmp_path / "go").touch()
    end(executor, first)
    assert executor.find([key(2)]) == {}
    assert lines_of(tmp_path / "ran") == []


@contextmanager
def frozen(place: Path) -> Iterator[None]:
    """Whatever writes to that file system hangs."""
    subprocess.run(["fsfreeze", "-f", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", str(place)], check=True)


@pytest.fixture
def disk(site: Site, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for what jobs write."""
    place, image = site.folder / "jobs", tmp_path / "image"
    place.mkdir(parents=True)
    image.touch()
    os.truncate(image, 16 * 1024 * 1024)
    if not (shutil.which("mkfs.ext4") and shutil.which("fsfreeze")):
        pytest.skip("mkfs.ext4 or fsfreeze is not installed")
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    made = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cannot mount a file system: {made.stderr.strip()}")
    place.chmod(0o700)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_time_limit_ends_a_job_whose_disk_hangs(executor: Executor, disk: Path, tmp_path: Path) -> None:
    command = f"echo $$ > {tmp_path}/pid; {until_there(tmp_path / 'go')}; yes"
    ticket = hand_over(executor, key(1), command, time_limit_seconds=10)
    wait_until(lambda: lines_of(tmp_path / "pid"))

    with frozen(disk):
        (tmp_path / "go").touch()
        wait_until(lambda: not lives(lines_of(tmp_path / "pid")[0]))
        assert progress(executor, ticket).phase is JobPhase.RUNNING, "what it wrote is not yet kept"

    assert wait_for(executor, ticket, JobPhase.ENDED).ending is Ending.TIMED_OUT
    assert executor.output(ticket).startswith("y\ny\n")
