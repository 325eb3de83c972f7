"""Whether a disk has space left."""

import errno
import os
from pathlib import Path

from rainbow.errors import ResourceExhausted

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# Kept for the agent's notes about the jobs that it has, when it takes no more.
RESERVE_BYTES = 16 * 1024 * 1024
MIB = 1024 * 1024
# Kept for what runs, of a twentieth of the disk at most, when files are fetched by URL.
FILES_RESERVE_BYTES = 1024 * MIB


class DiskFull(ResourceExhausted):
    """A disk takes no more."""


def shortage(folder: Path) -> str:
    """Why an agent with this state folder should take no jobs; empty where there is space."""
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < RESERVE_BYTES:
        return f"disk full: less than {RESERVE_BYTES // MIB} MiB are left for the agent's state folder"
    # Some file systems do not count their files.
    if found.f_files and not found.f_favail:
        return "disk full: no more files can be made in the agent's state folder"
    return ""


def shortage_for_files(folder: Path) -> str:
    """Why nothing more is fetched that jobs named: what runs needs space as well. Empty where there is space."""
    found = os.statvfs(folder)
    reserve = max(RESERVE_BYTES, min(FILES_RESERVE_BYTES, found.f_blocks * found.f_frsize // 20))
    if found.f_bavail * found.f_frsize >= reserve:
        return ""
    return f"disk full: less than {reserve // MIB:,} MiB are left where the agent keeps the files of jobs"


def is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in NO_SPACE


def takes_nothing(folder: Path) -> bool:
    """Whether a write fails for lack of space: a quota shows in no other way."""
    try:
        file = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
        try:
            os.write(file, bytes(4096))
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        return is_full(error)
    return False
