"""The scheduler, and the folder in which an agent keeps what it must not forget."""

import fcntl
import os
import tempfile
from pathlib import Path

from rainbow.doctor.findings import Sick
from rainbow.errors import RainbowError
from rainbow.executors import Executor


def try_folder(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(b"rainbow")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        advice = "Choose a folder that the agent's user may write, on a file system that knows locks, by --state-dir."
        raise Sick(f"{folder}: {error.strerror}", advice=advice) from error
    return f"{folder} can be written and locked"


def ask_scheduler(executor: Executor | None) -> str:
    if executor is None:
        return "not asked; --executor says which"
    try:
        capacity = executor.capacity()
    except RainbowError as error:
        advice = (
            "Its commands have to work for this user on this machine; try them by hand (sinfo, flux resource list)."
        )
        raise Sick(str(error), advice=advice) from error
    if capacity.not_ready:
        raise Sick(capacity.not_ready, advice="Agents take no jobs until the scheduler has nodes in service.")
    return f"it answers: {capacity.nodes} nodes and {capacity.slots} slots are free now"
