"""Jobs as lists show them, kept as they were written last, for as long as they stay as they are."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# About 8,000 small jobs; in each process of the web server.
MOST_BYTES = 16 * 1024 * 1024


class WrittenJob(NamedTuple):
    """`version`: that of read_versions that `text` shows."""

    version: str
    text: str


class KeptJobs:
    """The last ones, by id, as many as fit `most_bytes`. Thread-safe."""

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, WrittenJob] = OrderedDict()
        self._bytes = 0

    def of(self, ids: Iterable[int]) -> dict[int, WrittenJob]:
        """Of those of these jobs that are kept, whether or not they are still right."""
        with self._lock:
            found = {job_id: job for job_id in ids if (job := self._kept.get(job_id))}
            for job_id in found:
                self._kept.move_to_end(job_id)
        return found

    def keep(self, jobs: Mapping[int, WrittenJob]) -> None:
        with self._lock:
            for job_id, job in jobs.items():
                self._forget(self._kept.pop(job_id, None))
                self._kept[job_id] = job
                self._bytes += _size(job)
            while self._bytes > self._most_bytes:
                self._forget(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def _forget(self, job: WrittenJob | None) -> None:
        if job:
            self._bytes -= _size(job)


def _size(job: WrittenJob) -> int:
    return sys.getsizeof(job.version) + sys.getsizeof(job.text)
