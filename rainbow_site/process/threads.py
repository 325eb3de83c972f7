"""How the threads of a server take turns in Python."""

import sys

# A loop gives the interpreter away at each system call, and gets it back only when a thread that computes is asked to
# hand it over. Python's own 5 ms, several times in a call, were most of what a call waited beside others. Shorter than
# this, what is done in a second begins to fall.
_SWITCH_AFTER_SECONDS = 0.0005


def switch_threads_soon() -> None:
    """https://docs.python.org/3/library/sys.html#sys.setswitchinterval"""
    sys.setswitchinterval(_SWITCH_AFTER_SECONDS)
