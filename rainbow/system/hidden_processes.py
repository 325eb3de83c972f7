"""Whether /proc hides processes that cannot be traced, as runners of jobs, from its readers (proc(5), hidepid)."""

import os
from collections.abc import Collection
from pathlib import Path

_SHOWN = ("0", "off")
# Of these `gid` makes no exception.
_FOR_ALL = ("4", "ptraceable")


def are_hidden() -> bool:
    """False where that cannot be told."""
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="replace")
    except OSError:
        return False
    return hides(mounts, user=os.geteuid(), groups={os.getegid(), *os.getgroups()})


def hides(mounts: str, *, user: int, groups: Collection[int]) -> bool:
    """By the text of /proc/self/mounts; of what is mounted on /proc the last is seen."""
    lines = [line.split() for line in mounts.splitlines()]
    of_proc = [words[3] for words in lines if len(words) > 3 and words[1] == "/proc" and words[2] == "proc"]
    options = dict(option.partition("=")[::2] for option in of_proc[-1].split(",")) if of_proc else {}
    hidden = options.get("hidepid", "0")
    if hidden in _SHOWN or user == 0:
        return False
    # Without the option it is root's group that sees all.
    return hidden in _FOR_ALL or int(options.get("gid", "0")) not in groups
