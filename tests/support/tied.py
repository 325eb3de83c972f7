"""Becomes the command that it is given, as one that does not outlive the process that started it.

    python tests/support/tied.py SIGNAL USER COMMAND…

The kernel sends SIGNAL when the starter is gone, however it ended (on Linux; see prctl(2), PR_SET_PDEATHSIG).
USER is whom the command runs as; an empty one changes nothing.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1

_, signal_number, user_name, *command = sys.argv
if user_name:
    user = pwd.getpwnam(user_name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
if sys.platform == "linux":
    # After the change of user, which would clear it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal_number))
os.execvp(command[0], command)
