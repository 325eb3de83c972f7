"""Forks a runner for each job: a new interpreter for each would cost several times as much as a short job.

The agent sends the job's key, with the handles that the runner needs; nothing comes back but by the last of them. The
server ends with the agent, at the end of its stream; runners live on.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rainbow.runner.supervisor import supervise
from rainbow.system.prctl import hide_memory

LONGEST_KEY = 100
# In the command line of the server, where each runner has its key: that is how the agent recognizes it.
NO_KEY = "-" * LONGEST_KEY
# The job's lock, which the runner holds as long as it lives; the folders of its notes and its output; its log; the job;
# and where it says that its start is noted.
HANDLES = 6


def serve(connection: socket.socket) -> None:
    hide_memory()
    os.setsid()
    # Runners that end are reaped by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    place = _place_of_key()
    # What runners share with this process stays shared.
    gc.freeze()
    while True:
        key, handles, _, _ = socket.recv_fds(connection, LONGEST_KEY, HANDLES)
        if not key:
            return
        if len(handles) == HANDLES and not os.fork():
            ctypes.memmove(place, key.ljust(LONGEST_KEY, b"\0"), LONGEST_KEY)
            _run(handles)
        for handle in handles:
            os.close(handle)


def _run(handles: Sequence[int]) -> NoReturn:
    _lock, notes, output, log, job, noted = handles
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(log, 2)
        supervise(notes, output, job, noted)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _place_of_key() -> int:
    """The address of NO_KEY among the arguments of this process (arg_start in proc_pid_stat(5))."""
    text = Path("/proc/self/stat").read_bytes()
    start = int(text[text.rindex(b")") + 2 :].split()[45])
    place = start + Path("/proc/self/cmdline").read_bytes().index(NO_KEY.encode())
    if not start or ctypes.string_at(place, LONGEST_KEY) != NO_KEY.encode():
        raise OSError("cannot find the arguments of this process in its memory")
    return place
