"""Forks runners: a new interpreter for each would cost several times as much as a short job.

For each the agent sends one end of a connection, on which the runner gets its jobs. The server ends with the agent, at
the end of its stream; runners that have a job live on.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from rainbow.runner.job_loop import LONGEST_KEY, JobLoop
from rainbow.system.prctl import hide_memory
from rainbow.system.process_settings import settings

# In the command line of the server, where each runner has the key of its job: that is how the agent recognizes it.
NO_KEY = "-" * LONGEST_KEY
ANOTHER = b"another"


def serve(connection: socket.socket) -> None:
    hide_memory()
    os.setsid()
    # Runners that end are reaped by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    place = _place_of_key()
    # What runners share with this process stays shared.
    gc.freeze()
    usual = settings()
    while True:
        request, handles, _, _ = socket.recv_fds(connection, len(ANOTHER), 1, socket.MSG_CMSG_CLOEXEC)
        # The agent starts another server, with its own settings.
        if not request or settings() != usual:
            return
        if len(handles) == 1 and not os.fork():
            _run(handles[0], place)
        for handle in handles:
            os.close(handle)


def _run(agent: int, place_of_key: int) -> NoReturn:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        JobLoop(socket.socket(fileno=agent), place_of_key).run()
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
