"""What every process of a user may change of another one of that user, and that one's children inherit."""

import os
import resource
from pathlib import Path

_LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))


def settings() -> tuple[object, ...]:
    """Of this process, to be compared with what they were."""
    return (
        [resource.getrlimit(limit) for limit in _LIMITS],
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getscheduler(0),
        os.sched_getaffinity(0),
        Path("/proc/self/cgroup").read_bytes(),
    )
