"""How a future fails."""

from rainbow.errors import RainbowError
from rainbow.records import Job, JobState
from rainbow.text import printable


class JobFailed(RainbowError):
    """The job did not succeed, and left no result. `job` is its record, with the end of its output."""

    may_be_done = False

    def __init__(self, job: Job) -> None:
        said = f": {job.reason}" if job.reason else ""
        output = f"\n{job.output.rstrip()}" if job.output.strip() else ""
        became = "failed" if job.state is JobState.FAILED else f"is {job.state}"
        super().__init__(printable(f"job {job.id} {became}{said}{output}"))
        self.job = job


class RemoteError(RainbowError):
    """What the function raised at the cluster, where that exception itself does not come back: `kind` is its class."""

    may_be_done = False

    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(f"{kind}: {message}" if kind else message)
        self.kind = kind


class RemoteTraceback(Exception):
    """The cause of an exception from a cluster: its traceback there, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'
