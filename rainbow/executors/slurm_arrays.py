"""Jobs that Slurm has as the tasks of one array, so that its controller sees one job where there are hundreds.

An array has a name and a folder of its own, in which a link for each task leads to the folder of its job. Which task is
which job is on disk before Slurm has the array: so each is found again after a crash, by that name and its number.
"""

import os
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.folders import JobFolder, folder_of
from rainbow.executors.persons import AsAgent, AsPersons
from rainbow.executors.slurm_records import Record

# No key is like this: a key begins with the number of its job.
NAME = re.compile(r"rainbow-array-[0-9a-f]{16}", re.ASCII)
MOST_TASKS = 1000
_TABLE = "tasks"
_LONGEST_TABLE = MOST_TASKS * 101


class Arrays:
    """Thread-safe for one that submits: `begin` and `forget` are called by the agent's own thread."""

    def __init__(self, state: Path, users: AsAgent | AsPersons) -> None:
        self._state = state
        self._users = users
        self._tables: dict[str, Sequence[str]] = {}
        # The arrays of each job that is not forgotten: of a submission without an answer there may be a second.
        self._arrays: dict[str, list[str]] = defaultdict(list)
        self._jobs: dict[str, set[str]] = {}
        self._has_read_tables = False

    def new_name(self) -> str:
        # Before there is a folder of that name, which would be taken for one that was left behind.
        self._read_tables()
        return f"rainbow-array-{secrets.token_hex(8)}"

    def begin(self, folder: JobFolder, jobs: Sequence[JobFolder]) -> None:
        """Note that these are the tasks of an array, from 0 on. Raises OSError."""
        keys = [job.key for job in jobs]
        folder.notes.keep_durably(_TABLE, "".join(f"{key}\n" for key in keys).encode())
        with folder.job.opened() as links:
            for task, key in enumerate(keys):
                os.symlink(f"../{key}", str(task), dir_fd=links)
        self._know(folder.key, keys, keys)

    def as_jobs(self, records: Iterable[Record]) -> Iterator[Record]:
        """Tasks of our arrays by the names and folders of their jobs, and one record for each that waits."""
        self._read_tables()
        for record in records:
            table = self._tables.get(record.name)
            if not table or record.folder not in ("", str(self._users.folder(record.name).path)):
                yield record
                continue
            if "..." in record.numbers:
                raise SchedulerSilent(f"squeue leaves out some of the tasks that wait: {record.numbers}")
            for task in record.tasks(most=len(table)):
                yield self._as_job(record, task, table[task])

    def names(self, keys: Iterable[str]) -> set[str]:
        """Under which Slurm may have these jobs."""
        self._read_tables()
        return {name for key in keys for name in (key, *self._arrays.get(key, ()))}

    def forget(self, key: str) -> None:
        """The files of an array go with the last of its jobs."""
        self._read_tables()
        for name in self._arrays.pop(key, ()):
            self._jobs[name].discard(key)
            if not self._jobs[name]:
                self.remove(self._users.folder(name))

    def remove(self, folder: JobFolder) -> None:
        """Of one that Slurm certainly does not have."""
        for key in self._jobs.pop(folder.key, ()):
            self._arrays[key].remove(folder.key)
        self._tables.pop(folder.key, None)
        folder.remove()

    def _as_job(self, record: Record, task: int, key: str) -> Record:
        folder = str(self._users.folder(key).path) if record.folder else ""
        return replace(record, native_id=f"{record.array}_{task}", name=key, folder=folder)

    def _read_tables(self) -> None:
        if self._has_read_tables:
            return
        self._has_read_tables = True
        try:
            there = {folder.name for folder in (self._state / "notes").iterdir()}
        except FileNotFoundError:
            return
        for name in filter(NAME.fullmatch, there):
            notes = folder_of(self._state, name).notes
            keys = notes.read(_TABLE, most_bytes=_LONGEST_TABLE).decode("ascii", "replace").split()
            self._know(name, keys, [key for key in keys if key in there])
            if not self._jobs[name]:
                self.remove(self._users.folder(name))

    def _know(self, name: str, keys: Sequence[str], left: Iterable[str]) -> None:
        self._tables[name] = keys
        self._jobs[name] = set(left)
        for key in self._jobs[name]:
            self._arrays[key].append(name)
