"""Whether a disk has space left."""

import errno
import os
import tempfile
from pathlib import Path

from rainbow.errors import ResourceExhausted

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# What is left to the agent's notes about the jobs that it has, when no more are taken.
RESERVE_BYTES = 16 * 1024 * 1024
MIB = 1024 * 1024


class DiskFull(ResourceExhausted):
    """Nothing more can be written to a disk."""


def shortage(folder: Path) -> str:
    """Why an agent with this state folder should take no jobs; empty where there is enough space."""
    found = os.statvfs(folder)
    left = found.f_bavail * found.f_frsize
    if left < RESERVE_BYTES:
        return f"disk full: {left / MIB:.1f} MiB are left for {folder}, and {RESERVE_BYTES // MIB} MiB are needed"
    # Some file systems do not count their files.
    if found.f_files and not found.f_favail:
        return f"disk full: no more files can be made in {folder}"
    return ""


def takes_nothing(folder: Path) -> bool:
    """Whether a write fails for want of space; a quota is not to be seen in other ways."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in NO_SPACE
    return False
