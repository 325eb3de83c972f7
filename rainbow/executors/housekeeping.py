"""Keeps the disk in bounds while jobs run and after."""

from collections.abc import Iterable

from rainbow.executors.executor import Site
from rainbow.executors.folders import JobFolder
from rainbow.executors.trash import Trash


class Housekeeping:
    def __init__(self, site: Site) -> None:
        self._kept_output_bytes = site.kept_output_bytes
        self._trash = Trash(site.folder.absolute())

    def tidy(self, growing: Iterable[JobFolder] = ()) -> bool:
        """Cut outputs that schedulers write, and remove some of what was forgotten; whether more of that is left."""
        for folder in growing:
            folder.cut_output(self._kept_output_bytes)
        return self._trash.empty()
