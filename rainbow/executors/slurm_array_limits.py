"""Which jobs go to Slurm as one array, and how many at most."""

import re
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping

from rainbow.executors.commands import ask
from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.slurm_arrays import MOST_TASKS
from rainbow.executors.slurm_request import resources
from rainbow.specs import Work

# Slurm keeps an array's script once, of up to 4 MiB (slurm.conf(5), max_script_size). Quoting may make it longer.
MOST_BYTES = 512 * 1024
MAX_ARRAY_SIZE = re.compile(r"^MaxArraySize\s*=\s*(\d+)", re.MULTILINE)
ASK_AGAIN_SECONDS = 600.0


class ArrayLimit:
    """MaxArraySize of slurm.conf(5): the highest number of a task is one less."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._most = 0
        self._asked_at: float | None = None

    def most_tasks(self) -> int:
        """0 where Slurm takes no arrays, or does not say."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at > ASK_AGAIN_SECONDS:
            self._asked_at, self._most = now, self._asked()
        return self._most

    def _asked(self) -> int:
        try:
            answer = ask(["scontrol", "show", "config"], environment=self._environment)
        except SchedulerSilent:
            return 0
        found = MAX_ARRAY_SIZE.search(answer.text)
        return min(int(found[1]), MOST_TASKS) if found else 0


def batched_alike(works: Mapping[str, Work], *, most: int) -> Iterator[list[str]]:
    """Jobs that ask the same of Slurm, as the same user, at least two in each batch."""
    alike = defaultdict[Hashable, list[str]](list)
    for key, work in works.items():
        alike[(*resources(work), work.time_limit_seconds, work.run_as)].append(key)
    for keys in alike.values():
        yield from (batch for batch in _cut(keys, works, most) if len(batch) > 1)


def _cut(keys: list[str], works: Mapping[str, Work], most: int) -> Iterator[list[str]]:
    batch, size = list[str](), 0
    for key in keys:
        weight = _weight(works[key])
        if batch and (len(batch) >= most or size + weight > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(key)
        size += weight
    yield batch


def _weight(work: Work) -> int:
    """About what it adds to the script. The environment is in no job's representation, as it may be confidential."""
    return len(repr(work).encode()) + len(repr(work.environment).encode())
