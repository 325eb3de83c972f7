"""What sacct knows of jobs that squeue has forgotten, where a site keeps accounts.

Users choose the names and folders of their jobs, and Slurm takes line breaks there. So no line tells of a name that
was not asked for, nor of a folder.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from rainbow.executors.commands import Answer, ask
from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.slurm_records import SACCT_FORMAT, Record, from_sacct

# sacct finds nothing of a job for 2 to 3 seconds after its end.
GAP_SECONDS = 4.0
LONGEST = "now-30days"
ALLOCATIONS = ("--noheader", "--parsable2", "--allocations", "--duplicates")
# Linux takes no argument of more than 128 KiB (execve(2), MAX_ARG_STRLEN).
MOST_AT_ONCE = 1000
NONE_KEPT = "accounting storage is disabled"


def chunked(words: Iterable[str]) -> Iterator[list[str]]:
    """As many as a command takes in one argument, with commas between them."""
    left = sorted(words)
    while left:
        some, left = left[:MOST_AT_ONCE], left[MOST_AT_ONCE:]
        yield some


class Accounts:
    def __init__(
        self, environment: Mapping[str, str], *, of_all: bool = False, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._of_whom = ["--allusers"] if of_all else []
        self._environment = {**environment, "SLURM_TIME_FORMAT": "%s"}
        self._pause = pause

    def named(self, names: Collection[str]) -> list[Record]:
        """Asks twice before it concludes that there is none, which takes 4 seconds."""
        records = self._named(names)
        if records is not None and {record.name for record in records} != set(names):
            self._pause(GAP_SECONDS)
            records = self._named(names)
        return records or []

    def numbered(self, names: Collection[str], natives: Collection[str]) -> list[Record]:
        """Jobs by their names here, which their users may have changed since: these are not found."""
        return self._records("--name", names, "--jobs", ",".join(sorted(natives))) or []

    def is_in(self, native_id: str, folders: Collection[str]) -> bool:
        answer = self._ask("--format=WorkDir", "--jobs", native_id)
        lines = answer.text.splitlines() if answer else []
        return bool(lines) and all(line in folders for line in lines)

    def _named(self, names: Collection[str]) -> list[Record] | None:
        """None where no accounts are kept."""
        found: list[Record] = []
        for some in chunked(names):
            records = self._records("--name", some)
            if records is None:
                return None
            found += records
        return found

    def _records(self, option: str, names: Collection[str], *more: str) -> list[Record] | None:
        """None where no accounts are kept."""
        if not names:
            return []
        answer = self._ask(f"--format={SACCT_FORMAT}", option, ",".join(sorted(names)), *more)
        return None if answer is None else list(from_sacct(answer.text))

    def _ask(self, *words: str) -> Answer | None:
        """None where no accounts are kept."""
        answer = ask(
            ["sacct", *ALLOCATIONS, *self._of_whom, *words, "--starttime", LONGEST], environment=self._environment
        )
        if NONE_KEPT in answer.complaint:
            return None
        if answer.status:
            raise SchedulerSilent(f"sacct: {answer.complaint}")
        return answer
