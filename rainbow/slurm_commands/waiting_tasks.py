"""The tasks of an array that wait, on one line as Slurm's commands print them: 12_[3-9%2]."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rainbow.records import Job
from rainbow.slurm_commands.job_ids import is_task
from rainbow.slurm_commands.job_states import slurm_state

# As Slurm has it unless it is told otherwise: of indexes that have more characters, it prints the first of them.
MOST_LENGTH, CUT_LENGTH = 61, 60
# Indexes that are as far apart are a series to Slurm if there are so many, and more than so much between the ends.
_SHORTEST_SERIES, _SPAN_OF_SERIES = 3, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A job; or of tasks that wait the one with the lowest index, and in `tasks` the indexes of them all."""

    job: Job
    tasks: str = ""


def entries(jobs: Iterable[Job], *, at_once: Callable[[int], int]) -> Iterator[Entry]:
    """Those tasks of an array that stand behind each other become one. `at_once` says how many of a group may run."""
    for group, run in groupby(jobs, key=_array_that_waits):
        if group:
            yield _entry(run, at_once(group))
        else:
            yield from (Entry(job=job) for job in run)


def _array_that_waits(job: Job) -> int:
    return job.group if is_task(job) and slurm_state(job).name == "PENDING" else 0


def _entry(tasks: Iterator[Job], most: int) -> Entry:
    first = next(tasks)
    indexes = {first.array_index or 0}
    for job in tasks:
        indexes.add(job.array_index or 0)
        if (job.array_index or 0) < (first.array_index or 0):
            first = job
    return Entry(job=first, tasks=_cut(spelled(sorted(indexes))) + (f"%{most}" if most else ""))


def spelled(indexes: Sequence[int]) -> str:
    """As `--array` takes them, of indexes in their order: 2-9, 0-99:3 where all are as far apart, or 1,4-6."""
    is_long = len(indexes) >= _SHORTEST_SERIES and indexes[-1] - indexes[0] > _SPAN_OF_SERIES
    step = indexes[1] - indexes[0] if is_long else 0
    if step > 1 and list(indexes) == list(range(indexes[0], indexes[-1] + 1, step)):
        return f"{indexes[0]}-{indexes[-1]}:{step}"
    return ",".join(_spelled_range(part) for part in _ranges(indexes))


def _ranges(indexes: Sequence[int]) -> Iterator[list[int]]:
    for _, run in groupby(enumerate(indexes), key=lambda one: one[1] - one[0]):
        yield [index for _, index in run]


def _spelled_range(indexes: Sequence[int]) -> str:
    return f"{indexes[0]}-{indexes[-1]}" if len(indexes) > 1 else str(indexes[0])


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LENGTH else f"{text[:CUT_LENGTH]}..."
