"""Keeps the disk in bounds while jobs run and after."""

from collections.abc import Iterable

from rainbow.executors.executor import Site
from rainbow.executors.folders import JobFolder
from rainbow.executors.trash import Trash


class Housekeeping:
    def __init__(self, site: Site) -> None:
        self._kept_output_bytes = site.kept_output_bytes
        # Each on its own, since moves do not pass from one file system to another.
        self._trashes = [Trash(folder.absolute()) for folder in (site.folder, site.persons) if folder]

    def tidy(self, growing: Iterable[JobFolder] = ()) -> bool:
        """Cut outputs that schedulers write, and remove some of what was forgotten; whether more of that is left."""
        for folder in growing:
            folder.cut_output(self._kept_output_bytes)
        return any(trash.empty() for trash in self._trashes)
