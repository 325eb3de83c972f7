"""An agent's state folder, which no other agent uses meanwhile."""

import fcntl
import os
import shlex
import stat
from pathlib import Path

from rainbow.errors import FailedPrecondition, why
from rainbow.system.untrusted_files import open_or_make


def lock_folder(folder: Path) -> int:
    """A handle that keeps other agents out until it is closed; makes the folder. Raises FailedPrecondition."""
    _make(folder)
    try:
        handle = open_or_make(folder / "agent.lock")
    except OSError as error:
        raise FailedPrecondition(f"cannot lock the state folder {folder}: {why(error)}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise FailedPrecondition(f"another agent uses {folder}; give each agent a state folder of its own") from error
    return handle


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FailedPrecondition(f"cannot make the state folder {folder}: {why(error)}") from error
    if folder.stat().st_mode & stat.S_IWOTH:
        raise FailedPrecondition(
            f"all users can change what is in the state folder {folder}; run: chmod o-w {shlex.quote(str(folder))}"
        )
