"""Sites whose agents do not answer who reads what many jobs left there."""

from rainbow.errors import FailedPrecondition, Unimplemented
from rainbow.records import Job

# An agent that lets a reader wait for so long is away: it is not waited for again for each further job.
SILENT_SECONDS = 8.0


class SilentSites:
    def __init__(self) -> None:
        self._sites: set[tuple[str, str]] = set()

    def has_that_of(self, job: Job) -> bool:
        return (job.cluster, job.agent) in self._sites

    def is_silent_now(self, job: Job, error: FailedPrecondition | Unimplemented, *, after_seconds: float) -> bool:
        """Whether its site is one from now on, since it failed in this way after so long."""
        silent = isinstance(error, Unimplemented) or after_seconds >= SILENT_SECONDS
        if silent:
            self._sites.add((job.cluster, job.agent))
        return silent
