"""Says why a job waits to those who wait for it."""

from collections.abc import Callable
from contextlib import suppress

from rainbow.client import Client
from rainbow.errors import RainbowError
from rainbow.records import Job, JobState
from rainbow.terminal.background import Background
from rainbow.terminal.output import complain
from rainbow.text import on_one_line

# Most jobs are accepted sooner.
SAY_AFTER_SECONDS = 10.0
SAY_AGAIN_AFTER_SECONDS = 60.0


class WhyWaiting(Background):
    """Asks why the first of the jobs waits that are blocked or queued, in a thread of its own, and says what is new."""

    def __init__(self, client: Client, *, say: Callable[[str], None] = complain) -> None:
        super().__init__(name="why waiting")
        self._client = client
        self._say = say
        self._waiting: dict[int, None] = {}
        self._said: tuple[str, ...] = ()

    def note(self, job: Job) -> None:
        if job.state in (JobState.BLOCKED, JobState.QUEUED):
            self._waiting[job.id] = None
        else:
            self._waiting.pop(job.id, None)

    def _run(self) -> None:
        pause = SAY_AFTER_SECONDS
        while not self._over.wait(pause):
            if first := next(iter(self._waiting.copy()), 0):
                # The watcher tells of a server that is away.
                with suppress(RainbowError):
                    self._tell(first)
                pause = SAY_AGAIN_AFTER_SECONDS

    def _tell(self, jobid: int) -> None:
        (job,) = self._client.get_jobs([jobid]).jobs or (None,)
        if not job or not job.why_waiting or jobid not in self._waiting:
            return
        lines = (f"Job {job.id} waits: {job.why_waiting}", *(f"  {one.cluster} {one.text}" for one in job.prospects))
        if lines != self._said:
            for line in lines if len(job.prospects) > 1 else lines[:1]:
                self._say(on_one_line(line))
        self._said = lines
