"""Output of the commands: text, or one JSON document."""

import dataclasses
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from rainbow.errors import RainbowError
from rainbow.records import Job
from rainbow.specs import JobDescription
from rainbow.text import printable

# The fields of a job that are shown first.
_FIRST = ("id", "cluster", "name", "command", "nodes", "tasks", "state")


def say(text: str) -> None:
    click.echo(printable(text))


def complain(text: str) -> None:
    click.echo(printable(text), err=True)


def write_json(document: Any) -> None:
    click.echo(json.dumps(plain(document), indent=2))


def write_json_line(document: Any) -> None:
    click.echo(json.dumps(plain(document)))


def write_output_of(job: Job) -> None:
    """A job's output: unchanged for programs, with control characters escaped for a terminal."""
    click.echo(printable(job.output) if sys.stdout.isatty() else job.output, nl=False, color=True)
    if job.output_is_cut:
        complain(
            f"\nThese are the last 64 KiB of the output of job {job.id}, which the server has on record; "
            f"`rainbow logs {job.id}` prints all that its site keeps."
        )


def plain(value: Any) -> Any:
    """A value for JSON: records by field, times in ISO 8601."""
    if dataclasses.is_dataclass(value):
        return {name: plain(_in_order(getattr(value, name))) for name in _names_of(value)}
    if isinstance(value, RainbowError):
        return {"code": value.code, "field": value.field, "message": value.message}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def _in_order(value: Any) -> Any:
    """Protocol Buffers keep no order in a map of words, as labels are: two answers about one job would differ."""
    is_of_words = isinstance(value, Mapping) and all(type(key) is str for key in value)
    return dict(sorted(value.items())) if is_of_words else value


def _names_of(record: Any) -> list[str]:
    names = [field.name for field in dataclasses.fields(record)]
    first = [name for name in _FIRST if name in names] if isinstance(record, JobDescription) else []
    return [*first, *(name for name in names if name not in first)]
