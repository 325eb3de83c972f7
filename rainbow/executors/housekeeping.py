"""Keeps the disk in bounds while jobs run and after."""

import itertools
from collections.abc import Callable, Collection

from rainbow.executors.executor import Site, Ticket
from rainbow.executors.folders import JobFolder
from rainbow.executors.trash import Trash

MOST_AT_ONCE = 2_000


class Housekeeping:
    def __init__(self, site: Site) -> None:
        self._kept_output_bytes = site.kept_output_bytes
        self._next = 0
        # Each on its own, since moves do not pass from one file system to another.
        self._trashes = [Trash(folder.absolute()) for folder in (site.folder, site.persons) if folder]

    def cut_outputs(self, jobs: Collection[Ticket], folder: Callable[[str], JobFolder]) -> None:
        """Of jobs whose outputs their scheduler writes; of very many some at a time, in turn."""
        begin = self._next if self._next < len(jobs) else 0
        self._next = begin + MOST_AT_ONCE
        for job in itertools.islice(jobs, begin, self._next):
            folder(job.key).cut_output(self._kept_output_bytes)

    def tidy(self) -> bool:
        """Remove some of what was forgotten; whether more of that is left."""
        return any(trash.empty() for trash in self._trashes)
