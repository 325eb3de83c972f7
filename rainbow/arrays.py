"""The indexes of an array of jobs, written as sbatch takes them: 0-9, 1,3,5, 0-100:10, or 0-99%5 for 5 at once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rainbow.errors import InvalidArgument
from rainbow.rules import MAX_INT

MOST_MEMBERS = 100_000
_PART = re.compile(r"(?P<first>[0-9]{1,10})(?:-(?P<last>[0-9]{1,10})(?::(?P<step>[0-9]{1,10}))?)?", re.ASCII)
# What a task finds of its whole array (sbatch(1), OUTPUT ENVIRONMENT VARIABLES).
_OF_ALL = tuple(f"SLURM_ARRAY_TASK_{name}" for name in ("COUNT", "MIN", "MAX", "STEP"))
# Of a job that was submitted again, the group of the array's task that it is in place of.
ARRAY_JOB_ID = "SLURM_ARRAY_JOB_ID"
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_FORMS = "must be indexes such as 0-9, 1,3,5 or 0-100:10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """Its indexes in their order, each once, and how many of them may be under way at once; 0 for any number."""

    indexes: tuple[int, ...]
    at_once: int = 0


def variables_of(indexes: Sequence[int]) -> dict[str, str]:
    """What Slurm tells each task of an array of all of these indexes, which are in their order. STEP is the distance
    between any two of them that follow each other, and 1 where these differ.
    """
    steps = {later - earlier for earlier, later in pairwise(indexes)}
    values = (len(indexes), indexes[0], indexes[-1], steps.pop() if len(steps) == 1 else 1)
    return dict(zip(_OF_ALL, map(str, values), strict=True))


def tells_of_array(name: str, value: str) -> bool:
    """Whether it is such a variable, and says no more than a number."""
    return name in (*_OF_ALL, ARRAY_JOB_ID) and _NUMBER.fullmatch(value) is not None


def group_told(group: int, environment: Mapping[str, str]) -> int:
    """A job's group, or that of the task in whose place it was submitted; 0 for neither."""
    told = environment.get(ARRAY_JOB_ID, "")
    before = int(told) if _NUMBER.fullmatch(told) else 0
    return group or (before if before <= MAX_INT else 0)


def array_in(text: str) -> Array:
    """Raises InvalidArgument."""
    indexes, percent, most = text.partition("%")
    if percent and not (most.isascii() and most.isdigit() and 1 <= len(most) <= 10 and 0 < int(most) <= MAX_INT):
        raise InvalidArgument("must have a number from 1 behind %", field="array")
    return Array(indexes=_indexes_in(indexes), at_once=int(most or 0))


def _indexes_in(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        indexes = _range_in(part)
        if len(indexes) + len(found) > MOST_MEMBERS and len(found.union(indexes[: MOST_MEMBERS + 1])) > MOST_MEMBERS:
            raise InvalidArgument(f"must be at most {MOST_MEMBERS:,} indexes", field="array")
        found.update(indexes)
    return tuple(sorted(found))


def _range_in(part: str) -> range:
    said = _PART.fullmatch(part)
    if said is None:
        raise InvalidArgument(_FORMS, field="array")
    first, last = int(said["first"]), int(said["last"] or said["first"])
    step = int(said["step"] or 1)
    if last > MAX_INT:
        raise InvalidArgument(f"indexes must be at most {MAX_INT:,}", field="array")
    if last < first or step < 1:
        raise InvalidArgument(f"{part} holds no index", field="array")
    return range(first, last + 1, step)
