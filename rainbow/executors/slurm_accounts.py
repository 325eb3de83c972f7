"""What sacct knows of jobs that squeue has forgotten, where a site keeps accounts."""

import time
from collections.abc import Callable, Collection, Mapping

from rainbow.executors.commands import ask
from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.slurm_records import SACCT_FORMAT, Record, from_sacct

# sacct finds nothing of a job for 2 to 3 seconds after its end.
GAP_SECONDS = 4.0
LONGEST = "now-30days"
NONE_KEPT = "accounting storage is disabled"


class Accounts:
    def __init__(
        self, environment: Mapping[str, str], *, of_all: bool = False, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._of_whom = ["--allusers"] if of_all else []
        self._environment = {**environment, "SLURM_TIME_FORMAT": "%s"}
        self._pause = pause

    def named(self, names: Collection[str]) -> list[Record]:
        """Asks twice before it concludes that there is none, which takes 4 seconds."""
        records = self._ask("--name", names)
        if records is not None and {record.name for record in records} != set(names):
            self._pause(GAP_SECONDS)
            records = self._ask("--name", names)
        return records or []

    def numbered(self, native_ids: Collection[str]) -> list[Record]:
        return self._ask("--jobs", native_ids) or []

    def _ask(self, option: str, values: Collection[str]) -> list[Record] | None:
        """None where no accounts are kept."""
        if not values:
            return []
        wanted = [option, ",".join(sorted(values)), "--starttime", LONGEST]
        answer = ask(
            [
                "sacct",
                "--noheader",
                "--parsable2",
                "--allocations",
                "--duplicates",
                *self._of_whom,
                f"--format={SACCT_FORMAT}",
                *wanted,
            ],
            environment=self._environment,
        )
        if NONE_KEPT in answer.complaint:
            return None
        if answer.status:
            raise SchedulerSilent(f"sacct: {answer.complaint}")
        return list(from_sacct(answer.text))
