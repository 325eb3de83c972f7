"""Another revision of this project, checked out beside this one with an environment of its own."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import ROOT


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """A temporary checkout. Raises CalledProcessError where there is no such revision."""
    place = folder / "checkout"
    _git("worktree", "add", "--quiet", "--detach", str(place), revision)
    try:
        yield place
    finally:
        _git("worktree", "remove", "--force", str(place))


def make_environment(checkout: Path, *, transport: str) -> Sequence[str]:
    """Install what its own locks name, as its Makefile does; returns its manage.py as a command."""
    _run(["make", "--silent", ".venv/runtime"], checkout)
    python = str(checkout / ".venv" / "bin" / "python")
    lock = checkout / f"requirements-{transport}.lock"
    if lock.exists():
        _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock)], checkout)
    return python, str(checkout / "manage.py")


def _git(*words: str) -> None:
    _run(["git", *words], ROOT)


def _run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)
