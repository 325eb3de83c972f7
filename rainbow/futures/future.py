"""The future of a job."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Result = TypeVar("Result")


class JobFuture(Future[Result], Generic[Result]):
    """A future whose job runs at a cluster. `jobid` is 0 until the server has the job.

    `cancel` stops a job that runs, too, where other executors only cancel what has not begun. It returns at once; the
    cluster learns of it from the server.
    """

    def __init__(self, *, when_cancelled: Callable[["JobFuture[Result]"], None]) -> None:
        super().__init__()
        self.jobid = 0
        self.is_started = False
        self._when_cancelled = when_cancelled

    # To the standard library it is pending until its job is over, so that it can be cancelled until then.
    def running(self) -> bool:
        return self.is_started and not self.done()

    def cancel(self) -> bool:
        was_over = self.done()
        cancelled = super().cancel()
        if cancelled and not was_over:
            self._when_cancelled(self)
        return cancelled
