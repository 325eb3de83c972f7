"""What a refusal of Flux means: never, not now, or perhaps it took the job."""

import re

from rainbow.executors.executor import NotTaken, SchedulerSilent, WorkRefused

# A queue that is disabled; limits of flux-accounting for what a user may have at once.
NOT_NOW = re.compile(r"job submission.* is disabled|max(imum)?[ -](number of )?(active[ -])?jobs", re.IGNORECASE)
ERROR_NUMBER = re.compile(r"^\[Errno \d+\] ")
SILENT = re.compile(
    r"unable to connect|broker|connection|timed out|timeout|not responding|ENOSYS|no service matching|passing job to"
    r"|job-manager\.submit|KVS|resource temporarily unavailable|out of memory|cannot allocate",
    re.IGNORECASE,
)


def failure(complaint: str) -> WorkRefused | SchedulerSilent:
    words = ERROR_NUMBER.sub("", complaint.removeprefix("flux-submit: ERROR: "))
    if NOT_NOW.search(words):
        return NotTaken(f"Flux takes no jobs now: {words}")
    if SILENT.search(words):
        return SchedulerSilent(f"flux submit: {words}")
    return WorkRefused(f"Flux refused: {words}")
