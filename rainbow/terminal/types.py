"""Kinds of values that the command line takes."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from rainbow.errors import InvalidArgument
from rainbow.runner.output import spelled
from rainbow.slurm_commands.durations import seconds_of_clock
from rainbow.slurm_commands.job_ids import FIRST_ARRAY, JobRef, job_ref
from rainbow.terminal.formatting import UNITS, count
from rainbow.times import local_time_in

MAX_INT32 = 2**31 - 1
LONGEST_AGO_SECONDS = 36_500 * 86400
UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
SIZE = re.compile(r"(?P<number>\d{1,15}(\.\d{1,3})?)(?P<unit>[kmgt]?)(i?b)?", re.ASCII | re.IGNORECASE)
MEMORY = re.compile(r"(?P<number>\d{1,15}(\.\d{1,6})?)(?P<unit>[mgt])(ib)?", re.ASCII | re.IGNORECASE)
SPAN = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?", re.ASCII)


class Whole(click.IntRange):
    """A whole number, with an error that names the range."""

    name = "whole number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        # Python reads 8_3 as 83.
        if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9]+", value.strip()):
            self.fail(f"{value!r} is not a valid whole number.", param, ctx)
        return super().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "N"


class GroupId(Whole):
    """A group's id, or that of its array."""

    def __init__(self) -> None:
        super().__init__(1, MAX_INT32)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{10}", value, re.ASCII) else 0
        of_array = 0 < number - FIRST_ARRAY <= MAX_INT32
        return super().convert(number - FIRST_ARRAY if of_array else value, param, ctx)


class JobIds(click.ParamType[JobRef]):
    """A job's id, or tasks of an array as squeue prints them; `one`: a single task."""

    name = "job"

    def __init__(self, *, one: bool = False) -> None:
        self.one = one

    def convert(self, value: str | JobRef, param: click.Parameter | None, ctx: click.Context | None) -> JobRef:
        if isinstance(value, JobRef):
            return value
        try:
            ref = job_ref(value)
        except InvalidArgument as error:
            self.fail(f"{error}.", param, ctx)
        if not ref.jobid and not ref.indexes:
            whole = "".join(f", all of it {option} {ref.group}" for option in _options_for_groups(ctx))
            self.fail(f"{value!r} is all of group {ref.group}; a task of it is {ref.group}_INDEX{whole}.", param, ctx)
        if self.one and len(ref.indexes) > 1:
            self.fail(f"{value!r} are {len(ref.indexes)} tasks; name one, as {ref.group}_INDEX.", param, ctx)
        return ref


def _options_for_groups(ctx: click.Context | None) -> list[str]:
    return [param.opts[0] for param in ctx.command.params if isinstance(param.type, GroupId)] if ctx else []


class Number(click.FloatRange):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):  # comparing says nothing of it, so it is in every range
            self.fail(f"{value!r} is not a valid number.", param, ctx)
        return number


class Span(click.ParamType[int]):
    """Seconds, written 600, 10m, 2h or 1h30m, or with colons or a hyphen as Slurm reads it: 1:30:00, 1-02:03:04."""

    name = "span"

    def __init__(self, *, lowest: int, highest: int) -> None:
        self.lowest = lowest
        self.highest = highest

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        seconds = value if isinstance(value, int) else _seconds(value)
        if seconds is None:
            self.fail(f"{value!r} is not a span of time; write seconds, or a form such as 10m, 2h or 1h30m")
        if not self.lowest <= seconds <= self.highest:
            self.fail(f"{value} is not within {_spelled(self.lowest)} to {_spelled(self.highest)}")
        return seconds


class Time(click.ParamType[datetime]):
    """A time in ISO 8601, of this machine's time zone if it says none."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        moment = value if isinstance(value, datetime) else local_time_in(value)
        if moment is None:
            self.fail(f"{value!r} is not a time; write it as 2026-12-01T12:00 or 2026-12-01T12:00+01:00")
        return moment


class Since(click.ParamType[datetime]):
    """A time, or how long ago it was."""

    name = "since"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if (seconds := _seconds(value)) is not None:
            if not 0 < seconds <= LONGEST_AGO_SECONDS:
                self.fail(f"{value} is not within {_spelled(1)} to {_spelled(LONGEST_AGO_SECONDS)}", param, ctx)
            return datetime.now(UTC) - timedelta(seconds=seconds)
        if (moment := local_time_in(value)) is None:
            self.fail(
                f"{value!r} is neither a span such as 30m, 2h or 1d nor a time such as 2026-12-01T12:00", param, ctx
            )
        return moment


class Size(click.ParamType[int]):
    """Bytes, written 65536, 64K, 1.5G or 500MiB; a thousand is 1024."""

    name = "size"

    def __init__(self, *, lowest: int, highest: int) -> None:
        self.lowest = lowest
        self.highest = highest

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        size = value if isinstance(value, int) else _bytes(value)
        if size is None:
            self.fail(f"{value!r} is not a size; write bytes, or a form such as 64K, 500M or 1.5G")
        if not self.lowest <= size <= self.highest:
            self.fail(f"{value} is not within {spelled(self.lowest)} to {spelled(self.highest)}")
        return size


class Memory(click.ParamType[int]):
    """Whole MiB, written 64G, 1.5GiB or 500M."""

    name = "memory"

    def __init__(self, *, highest_mib: int) -> None:
        self.highest_mib = highest_mib

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = MEMORY.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not an amount of memory; write it with its unit, as in 512M, 64G or 1.5TiB")
        mib = Decimal(found["number"]) * 1024 ** "mgt".index(found["unit"].lower())
        if mib != int(mib) or not 1 <= mib <= self.highest_mib:
            self.fail(f"{value} is not a whole number of MiB within 1 MiB to {spelled(self.highest_mib * 1024**2)}")
        return int(mib)


class Gpus(Whole):
    """A number of GPUs, with a hint for Slurm's TYPE:NUMBER."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        kind, colon, number = str(value).rpartition(":")
        if colon and number.isdecimal():
            self.fail(f"{value!r} names a type; say {number}, and --gpu-type {kind}", param, ctx)
        return super().convert(value, param, ctx)


class Pair(click.ParamType[tuple[str, str]]):
    name = "name=value"

    def __init__(self, form: str = "NAME=VALUE") -> None:
        self.form = form

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not (key and equals):
            self.fail(f"{value!r} has not the form {self.form}")
        return key, rest


def as_list(ctx: click.Context, param: click.Parameter, value: Iterable[str]) -> tuple[str, ...]:
    """Also where several stand in one value, with commas between them."""
    return tuple(item for items in value for item in map(str.strip, items.split(",")) if item)


def as_mapping(ctx: click.Context, param: click.Parameter, value: Iterable[tuple[str, str]]) -> dict[str, str]:
    return dict(value)


def _spelled(seconds: int) -> str:
    """In the largest unit that divides it."""
    noun, length = next((unit for unit in UNITS if seconds and seconds % unit[1] == 0), ("second", 1))
    return count(seconds // length, noun)


def _seconds(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    if ":" in text or "-" in text:
        return seconds_of_clock(text)
    found = SPAN.fullmatch(text)
    if not text or found is None:
        return None
    return sum(int(number or 0) * UNIT_SECONDS[unit] for unit, number in found.groupdict().items())


def _bytes(text: str) -> int | None:
    found = SIZE.fullmatch(text)
    if found is None:
        return None
    return int(Decimal(found["number"]) * 1024 ** " kmgt".index(found["unit"].lower() or " "))
