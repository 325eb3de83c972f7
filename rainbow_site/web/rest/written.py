"""Many rows as JSON, in the bytes that serializers would give, without one for each row.

A serializer's fields say how each column is written. What most rows of a page have alike is written once.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import repeat
from operator import attrgetter
from typing import Any

from rest_framework import serializers
from rest_framework.renderers import JSONRenderer

from rainbow_site.web.rest.fields import Pairs

# A value as it came from the database to JSON.
Writer = Callable[[Any], str]
Writers = Mapping[str, Writer]

NULL = "null"
compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Written(bytes):
    """A whole document in JSON."""


class WrittenJSON(JSONRenderer):
    """Sends what is written as it is, unless the caller wants it indented."""

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        if isinstance(data, Written):
            if not self.get_indent(accepted_media_type or "", renderer_context or {}):
                return data
            data = json.loads(data)
        return bytes(super().render(data, accepted_media_type, renderer_context))


def document(text: str) -> Written:
    # JavaScript took these two for ends of lines; REST framework writes them like that.
    return Written(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode())


def text(value: str | None) -> str:
    return NULL if value is None else compact(value)


def number(value: int | None) -> str:
    return NULL if value is None else str(int(value))


def flag(value: Any) -> str:
    return "true" if value else "false"


def moment(value: datetime | str | None) -> str:
    """SQLite has times as text, in UTC."""
    if value is None:
        return NULL
    said = value if isinstance(value, str) else value.isoformat()
    return f'"{said[:10]}T{said[11:].removesuffix("+00:00")}Z"'


def day(value: date | None) -> str:
    return NULL if value is None else f'"{value.isoformat()}"'


def mapping(value: str | None) -> str:
    """Of JSON, as the column has it."""
    return value if value == "{}" else compact(dict(sorted(json.loads(value).items()))) if value else NULL


def texts(value: str | None) -> str:
    return value if value == "[]" else compact(json.loads(value)) if value else NULL


_BY_FIELD: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], Writer], ...] = (
    (Pairs, mapping),
    (serializers.ListField, texts),
    (serializers.BooleanField, flag),
    (serializers.IntegerField, number),
    (serializers.DateTimeField, moment),
    (serializers.DateField, day),
    (serializers.ChoiceField, text),
    (serializers.CharField, text),
)


def writers_of(serializer: type[serializers.Serializer[Any]], **others: Writer) -> dict[str, Writer]:
    """For each field of a serializer, in its order; `others` are for those that no kind of field stands for."""
    fields = serializer().fields.items()
    return {name: others.get(name) or _writer_of(field) for name, field in fields}


def _writer_of(field: object) -> Writer:
    return next(writer for kind, writer in _BY_FIELD if isinstance(field, kind))


def objects(columns: Mapping[str, Sequence[Any]], writers: Writers) -> str:
    """An array of objects, of columns of the same length; each column that `writers` names is there."""
    rows = len(columns[next(iter(writers))])
    if not rows:
        return "[]"
    parts, varying = [], []
    for name, write in writers.items():
        values = columns[name]
        if values.count(values[0]) == rows:
            parts.append(f'"{name}":{write(values[0])}'.replace("%", "%%"))
        else:
            parts.append(f'"{name}":%s')
            said = {value: write(value) for value in set(values)}
            varying.append(map(said.__getitem__, values))
    return f"[{','.join(_filled('{' + ','.join(parts) + '}', varying, rows))}]"


def objects_of(rows: Sequence[object], writers: Writers) -> str:
    """The same of objects in Python, with an attribute for each field."""
    read = attrgetter(*writers)
    columns = zip(*map(read, rows), strict=True) if rows else repeat(())
    return objects(dict(zip(writers, columns, strict=False)), writers)


def _filled(template: str, varying: Sequence[Iterator[str]], rows: int) -> Iterator[str]:
    if varying:
        return map(template.__mod__, zip(*varying, strict=True))
    return iter([template % ()] * rows)
