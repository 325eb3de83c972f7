"""Says why a job waits to those who wait for it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rainbow.client import Client
from rainbow.errors import RainbowError
from rainbow.records import Job, JobState
from rainbow.terminal.output import complain
from rainbow.text import on_one_line

# Most jobs are accepted sooner.
SAY_AFTER_SECONDS = 10.0
SAY_AGAIN_AFTER_SECONDS = 60.0


class WhyWaiting:
    """Asks in a thread of its own while the job is blocked or queued, and says what is new."""

    def __init__(self, client: Client, jobid: int, *, say: Callable[[str], None] = complain) -> None:
        self._client = client
        self._jobid = jobid
        self._say = say
        self._waits = threading.Event()
        self._over = threading.Event()
        self._said: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._run, name="why waiting", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def note(self, job: Job) -> None:
        (self._waits.set if job.state in (JobState.BLOCKED, JobState.QUEUED) else self._waits.clear)()

    def _run(self) -> None:
        pause = SAY_AFTER_SECONDS
        while not self._over.wait(pause):
            if self._waits.is_set():
                # The watcher tells of a server that is away.
                with suppress(RainbowError):
                    self._tell()
                pause = SAY_AGAIN_AFTER_SECONDS

    def _tell(self) -> None:
        (job,) = self._client.get_jobs([self._jobid]).jobs or (None,)
        if not job or not job.why_waiting or not self._waits.is_set():
            return
        lines = (f"Job {job.id} waits: {job.why_waiting}", *(f"  {one.cluster} {one.text}" for one in job.prospects))
        if lines != self._said:
            for line in lines if len(job.prospects) > 1 else lines[:1]:
                self._say(on_one_line(line))
        self._said = lines
