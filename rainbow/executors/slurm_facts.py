"""sinfo's partitions as facts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rainbow.executors.executor import SchedulerSilent
from rainbow.facts import Partition

# Partition, with an asterisk if it is the default; the longest time and the sizes of a job; how many such nodes, and
# of each its CPUs, memory, generic resources and features; their names. `--exact` tells unequal nodes apart.
PARTITIONS = ("--noheader", "--exact", "--format=%P|%l|%s|%D|%c|%m|%G|%f|%N")
# How many nodes are asked for their architecture: one of each row.
MOST_ASKED = 32
NONE = ("(null)", "n/a", "")

_GPUS = re.compile(r"gpu(?::(?P<type>[^:(,]*[^:(,0-9][^:(,]*))?(?::(?P<count>[0-9]{1,9}))?(?:\(.*)?")
_TIME = re.compile(
    r"(?:(?P<days>[0-9]{1,6})-)?(?:(?P<hours>[0-9]{1,9}):)?(?P<minutes>[0-9]{1,9}):(?P<seconds>[0-9]{1,9})"
)
_ARCH = re.compile(r"\bArch=(\S+)")
# Outside of parentheses: gpu:a100:4(S:0,1),shard:8.
_COMMA = re.compile(r",(?![^(]*\))")
_RANGE = re.compile(r"\[([0-9]+)[^\]]*\]")


def partitions(text: str, *, chosen: str = "") -> list[Partition]:
    """Those with nodes. `chosen`: the partitions, by comma, where the site has jobs go that name none.

    Raises SchedulerSilent.
    """
    rows = [line.split("|", 8) for line in text.splitlines()]
    found = [partition for row in rows if (partition := _partition(row)).nodes]
    names = chosen.split(",")
    return [replace(one, default=one.name in names) for one in found] if chosen else found


def some_nodes(text: str) -> list[str]:
    """The first node of each row."""
    lists = [line.rpartition("|")[2] for line in text.splitlines()]
    first = (_RANGE.sub(r"\1", nodes).partition(",")[0] for nodes in lists)
    return list(dict.fromkeys(filter(None, first)))[:MOST_ASKED]


def architectures(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_ARCH.findall(text)))


def _partition(row: Sequence[str]) -> Partition:
    try:
        name, longest, sizes, nodes, cpus, memory, generic, features, _ = row
        return Partition(
            name=name.removesuffix("*"),
            nodes=int(nodes),
            cores_per_node=_count(cpus),
            memory_mib_per_node=_count(memory),
            gpus_per_node=_gpus(generic),
            longest_seconds=_seconds(longest),
            max_nodes=_count(sizes.rpartition("-")[2]),
            default=name.endswith("*"),
            features=tuple(feature for feature in features.split(",") if feature not in NONE),
        )
    except ValueError as error:
        words = "|".join(row)
        raise SchedulerSilent(f"sinfo said something that rainbow does not understand: {words[:200]!r}") from error


def _gpus(generic: str) -> dict[str, int]:
    """By type, from words such as `gpu:a100:4(S:0-1),gpu:2,shard:8`."""
    found: dict[str, int] = {}
    for kind, count in _counts(_COMMA.split(generic)):
        found[kind] = found.get(kind, 0) + count
    return found or {"": 0}


def _counts(words: Iterable[str]) -> Iterator[tuple[str, int]]:
    for word in words:
        if found := _GPUS.fullmatch(word):
            yield found["type"] or "", int(found["count"] or 1)


def _seconds(text: str) -> int:
    """0 for what is no time, as `infinite`."""
    found = _TIME.fullmatch(text)
    if not found:
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _count(text: str) -> int:
    """0 for what is no number, as `infinite`; the least of `16+`."""
    digits = text.removesuffix("+")
    return int(digits) if digits.isascii() and digits.isdecimal() else 0
