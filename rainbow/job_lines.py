"""A job as a line of JSON: an object with the fields of a JobSpec, or what `rainbow job --json` prints."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from rainbow.errors import InvalidArgument
from rainbow.records import Job
from rainbow.specs import MOMENTS, Index, JobSpec, Moment, OnLost, Texts, values_read
from rainbow.times import time_in

# More than the largest job needs, also where every character is an escape.
LONGEST_LINE = 1024 * 1024
ON_LOST = (OnLost.KEEP.value, OnLost.REQUEUE.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a field's value must be, in words and as a test. Ranges are the server's to check."""

    words: str
    holds: Callable[[Any], bool]


TEXT = Kind(words="a string", holds=lambda value: isinstance(value, str))
NUMBER = Kind(words="a whole number of 32 bits", holds=lambda value: type(value) is int and -(2**31) <= value < 2**31)
PAIRS = Kind(
    words="an object whose values are strings",
    holds=lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
)
WISH = Kind(words=" or ".join(ON_LOST), holds=lambda value: value in ON_LOST)
FLAG = Kind(words="true or false", holds=lambda value: isinstance(value, bool))
LIST = Kind(
    words="a list of strings",
    holds=lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
)
TIME = Kind(
    words="a time with its offset, such as 2026-12-01T12:00:00+01:00",
    holds=lambda value: value is None or (isinstance(value, str) and time_in(value) is not None),
)
INDEX = Kind(words="a whole number from 0", holds=lambda value: value is None or (NUMBER.holds(value) and value >= 0))
_KINDS: Mapping[object, Kind] = {
    str: TEXT, int: NUMBER, bool: FLAG, Mapping[str, str]: PAIRS, Texts: LIST, OnLost: WISH, Moment: TIME,
    Index: INDEX,
}  # fmt: skip
FIELDS: Mapping[str, Kind] = {field.name: _KINDS[field.type] for field in fields(JobSpec)}

# What every printed job has, and what the server adds to a submitted one.
PRINTED = frozenset({"id", "state"})
ADDED = frozenset({field.name for field in fields(Job)} | {"output_is_cut"}) - FIELDS.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class LineContent:
    """A job, and the content of its line by which it is told from another line."""

    spec: JobSpec
    counts: bytes


def job_on(line: bytes) -> LineContent:
    """Raises InvalidArgument, with the field at fault if it is a single one."""
    content = parsed(line)
    is_printed = content.keys() >= PRINTED
    said = _submittable(content) if is_printed else content
    for name in said:
        if name not in FIELDS:
            raise InvalidArgument(f"is unknown; the fields are {', '.join(FIELDS)}", field=name)
    check_kinds(said, FIELDS, required=("command",))
    times = {name: time_in(said[name]) for name in MOMENTS if said.get(name)}
    spec = JobSpec(**{**values_read(said), **times, "on_lost": OnLost(said.get("on_lost", OnLost.UNSPECIFIED))})
    return LineContent(spec=spec, counts=json.dumps(said, sort_keys=True).encode() if is_printed else line)


def _submittable(printed: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a printed job that make another such job: not its key, which stands for the printed one, nor its
    group, and what it waited for.
    """
    if "environment" not in printed:
        raise InvalidArgument("is missing: lists leave it out, `rainbow job ID --json` has it", field="environment")
    unsaid = ("on_lost",) if printed.get("on_lost") == OnLost.UNSPECIFIED else ()
    left_out = {*ADDED, "idempotency_key", "group", "after", *unsaid}
    return {name: value for name, value in printed.items() if name not in left_out}


def check_kinds(fields: Mapping[str, Any], kinds: Mapping[str, Kind], *, required: Iterable[str]) -> None:
    """Raises InvalidArgument where a field is of another kind than it must be, or missing."""
    for name, kind in kinds.items():
        if name in fields and not kind.holds(fields[name]):
            raise InvalidArgument(f"must be {kind.words}", field=name)
    for name in required:
        if name not in fields:
            raise InvalidArgument("is missing", field=name)


def parsed(line: bytes) -> dict[str, Any]:
    """The object on a line. Raises InvalidArgument."""
    if len(line) > LONGEST_LINE:
        raise InvalidArgument(f"is longer than {LONGEST_LINE:,} bytes")
    try:
        content = DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise InvalidArgument("is not UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} of it, " if error.lineno > 1 else ""
        raise InvalidArgument(f"is not JSON: {error.msg} at {where}column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise InvalidArgument("is no job") from error
    if not isinstance(content, dict):
        raise InvalidArgument("is not a JSON object")
    return content


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise InvalidArgument("stands twice", field=next(name for name in names if names.count(name) > 1))
    return content


DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats)
