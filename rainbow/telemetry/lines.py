"""Log lines: an event with fields, written as text for people or as JSON for programs (docs/logs.md)."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rainbow.telemetry.failures import traceback_of
from rainbow.telemetry.request_ids import request_id_of

# Of a field, of a whole line without its traceback, and of a traceback.
MOST_OF_FIELD, MOST_OF_LINE, MOST_OF_TRACEBACK = 1_000, 8_000, 16_000
CREDENTIAL = re.compile(r"rb[ts]_[\w-]+", re.ASCII)
# What stands in a line of text without quotation marks.
_WORD = re.compile(r"[^\s='\"\\]+")


class Quoted(str):
    """Text of others, in quotation marks in a line of text even where it is one word."""

    __slots__ = ()


class Line:
    """The message of a log record: what happened, and its fields, of which those that are None or empty are left out.

    In text the values of the fields that `lead` names stand in place of the event. No field may hold a credential,
    nor a job's command, environment or output.
    """

    __slots__ = ("event", "fields", "lead")

    def __init__(self, event: str, lead: tuple[str, ...] = (), /, **fields: object) -> None:
        self.event = event
        self.lead = lead
        self.fields = {name: value for name, value in fields.items() if value is not None and value != ""}

    def __str__(self) -> str:
        words = [_bounded(self.fields[name]) for name in self.lead] or [self.event]
        rest = (f"{name}={_word(value)}" for name, value in self.fields.items() if name not in self.lead)
        return " ".join((*words, *rest))


class TextLines(logging.Formatter):
    """`2026-11-22 19:11:46,412 INFO event field=value`; the lines of a traceback follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {_on_one_line(_message(record), MOST_OF_LINE)}"
        line += "".join(f" {name}={value}" for name, value in _of_django(record).items())
        if record.exc_info and record.exc_info[1]:
            line += "".join(f"\n  {_escaped(text)}" for text in _traceback(record).split("\n"))
        return without_credentials(line)


class JsonLines(logging.Formatter):
    """One object a line. The keys of the record itself win over fields of the same name."""

    def format(self, record: logging.LogRecord) -> str:
        line = record.msg if isinstance(record.msg, Line) else None
        own = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": line.event if line else _shortened(_message(record), MOST_OF_LINE),
        }
        if record.exc_info and record.exc_info[1]:
            own["traceback"] = _traceback(record)
        fields = {name: _value(value) for name, value in line.fields.items()} if line else _of_django(record)
        # json.dumps leaves DEL alone, which is ASCII.
        return without_credentials(json.dumps({**own, **fields, **own}).replace("\x7f", "\\u007f"))


FORMATS: Mapping[str, type[logging.Formatter]] = {"text": TextLines, "json": JsonLines}


def without_credentials(text: str) -> str:
    """The values that rainbow makes have these beginnings; others are never logged in the first place."""
    return CREDENTIAL.sub("(credential)", text) if "rb" in text else text


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a line of someone else's that does not fit its arguments
        return str(record.msg)


def _of_django(record: logging.LogRecord) -> dict[str, str]:
    """Django's own records of failures carry the request."""
    request = getattr(record, "request", None)
    request_id = request_id_of(request) if hasattr(request, "META") else ""
    return {"request_id": request_id} if request_id else {}


def _traceback(record: logging.LogRecord) -> str:
    assert record.exc_info and record.exc_info[1]
    return _shortened(traceback_of(record.exc_info[1]), MOST_OF_TRACEBACK)


def _value(value: object) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [_value(one) for one in value[:MOST_OF_FIELD]]
    return _shortened(str(value), MOST_OF_FIELD)


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list | tuple):
        return _shortened(",".join(map(str, value)), MOST_OF_FIELD)
    text = _bounded(value)
    plain = _WORD.fullmatch(text) and text.isprintable() and not isinstance(value, Quoted)
    return text if plain else repr(text)


def _bounded(value: object) -> str:
    return _shortened(str(value), MOST_OF_FIELD)


def _on_one_line(text: str, most: int) -> str:
    return _escaped(_shortened(text, most))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
