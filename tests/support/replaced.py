"""What a hostile job puts in place of a file: each leads to `foreign`, or blocks its readers."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FOREIGN = "the agent's own secret\n"

Trick = Callable[[Path, Path], None]


def link_to_a_file(place: Path, foreign: Path) -> None:
    place.symlink_to(foreign)


def link_to_the_environment(place: Path, foreign: Path) -> None:
    place.symlink_to("/proc/self/environ")


def link_to_an_endless_device(place: Path, foreign: Path) -> None:
    place.symlink_to("/dev/zero")


def link_to_itself(place: Path, foreign: Path) -> None:
    place.symlink_to(place)


def second_name_of_a_file(place: Path, foreign: Path) -> None:
    place.hardlink_to(foreign)


def pipe_without_a_writer(place: Path, foreign: Path) -> None:
    os.mkfifo(place)


def folder(place: Path, foreign: Path) -> None:
    place.mkdir()


def nothing(place: Path, foreign: Path) -> None:
    """It was deleted."""


TRICKS: tuple[Trick, ...] = (
    link_to_a_file,
    link_to_the_environment,
    link_to_an_endless_device,
    link_to_itself,
    second_name_of_a_file,
    pipe_without_a_writer,
    folder,
    nothing,
)

GARBAGE = (
    b"",
    b"\n",
    b"7",
    b"--user=root 1 1\n",
    b"-1 -1 -1\n",
    b"7 nan inf\n",
    b"1e9 1e400 x\n",
    b"99999999999999999999 99999999999999999999 99999999999999999999\n",
    "\u0667 \u0667 \u0667\n".encode(),
    b"exited:999999999999 70000 1.5\n",
    b"exited 127 1.5\n",
    b"exited 65535 1.5\n",
    b"\xff\xfe \x00 \x1b[31m\n",
    b"1 2 3\n" * 100_000,
)


def put(trick: Trick, place: Path, foreign: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    trick(place, foreign)


@contextmanager
def leased(place: Path) -> Iterator[None]:
    """Another process has a lease on the file: opening it waits until that process says so, or for 45 seconds."""
    program = (
        "import fcntl, signal, sys\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "file = open(sys.argv[1], 'r+b')\n"
        f"fcntl.fcntl(file, {fcntl.F_SETLEASE}, {fcntl.F_WRLCK})\n"
        "print('leased', flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(place)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"leased\n"
        yield
        holder.send_signal(signal.SIGKILL)
