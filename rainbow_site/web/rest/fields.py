"""Serializer fields that accept what the schema says, without REST framework's coercions."""

from collections.abc import Container, Iterable
from collections.abc import Mapping as MappingType
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from rest_framework import serializers
from rest_framework.fields import SkipField, empty

UNKNOWN_PARAMETER = "unknown query parameter"
# A body has room for hundreds of thousands of mistakes; this many of them are named.
MOST_TOLD = 100
# For the schema, as clusters/validation.py checks.
CLUSTER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
LINES = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"


class Input(serializers.Serializer[Any]):
    # Of a request's body. Unknown fields are refused: a misspelled one would be silently ignored. (A docstring would
    # become the description of every input in the schema.)
    unknown = "unknown field"

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, MappingType):
            refuse_unknown(data, self.fields, self.unknown)
        # In a query a name may have many values.
        return self._values_in(data) if type(data) is dict else super().to_internal_value(data)

    def run_validators(self, value: Any) -> None:
        # REST framework first looks for defaults of fields that cannot be said.
        if self.validators:
            super().run_validators(value)

    def _values_in(self, data: dict[str, Any]) -> dict[str, Any]:
        """As REST framework does for fields without a source and a validate_ method, but looks at no field that is left
        out and has a default: a batch has ten thousand jobs that leave out most of theirs.
        """
        values = {name: default() if callable(default) else default for name, default in self._defaults.items()}
        errors: dict[str, Any] = {}
        for name, field in self._its_fields:
            if name not in data and name in values:
                continue
            try:
                values[name] = field.run_validation(data.get(name, empty))
            except serializers.ValidationError as error:
                errors[name] = error.detail
            except SkipField:
                pass
        if errors:
            raise serializers.ValidationError(errors)
        return values

    @cached_property
    def _its_fields(self) -> tuple[tuple[str, Any], ...]:
        return tuple(self.fields.items())

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        its = ((name, field) for name, field in self._its_fields if isinstance(field, WithDefault))
        return {name: field.default for name, field in its if field.default is not empty}


class Query(Input):
    unknown = UNKNOWN_PARAMETER


def refuse_unknown(given: Iterable[object], known: Container[object], error: str) -> None:
    """Raises ValidationError, which names at most MOST_TOLD of the unknown names."""
    if unknown := [str(name) for name in given if name not in known]:
        raise serializers.ValidationError({name: [error] for name in unknown[:MOST_TOLD]})


class WithDefault(serializers.Field[Any, Any, Any, Any]):
    """Takes its default as it is."""

    def run_validation(self, data: Any = empty) -> Any:
        if data is empty and self.default is not empty:
            return self.default() if callable(self.default) else self.default
        return super().run_validation(data)


class Text(WithDefault, serializers.CharField):
    """Text, white space included. `pattern` is only for the schema: the service validates it."""

    def __init__(self, *, pattern: str = "", **options: Any) -> None:
        self.pattern = pattern
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Number(WithDefault, serializers.IntegerField):
    """An integer; JSON's 2.0 is one, too."""

    def to_internal_value(self, data: Any) -> int:
        whole = isinstance(data, int) or (isinstance(data, float) and data.is_integer())
        if isinstance(data, bool) or not whole:
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))


class Digits(serializers.IntegerField):
    """An integer in a query string: digits only, where Python would also accept 1_000 and 1.0."""

    def get_value(self, dictionary: Any) -> Any:
        # REST framework treats an empty parameter as a missing one.
        return dictionary.get(self.field_name, empty)

    def to_internal_value(self, data: Any) -> int:
        if not (isinstance(data, str) and data.isascii() and data.isdecimal()):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Numbers(serializers.ListField):
    """A list of integers, whose length is checked before its items."""

    def __init__(self, *, lowest: int, highest: int, max_length: int) -> None:
        child = Number(min_value=lowest, max_value=highest)
        super().__init__(child=child, min_length=1, max_length=max_length)

    def to_internal_value(self, data: Any) -> list[int]:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))


class Choice(WithDefault, serializers.ChoiceField):
    """One of several words. The error does not quote the input, which may be as long as the body."""

    default_error_messages = {"invalid_choice": "must be one of {choices}"}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", choices=", ".join(self.choices))
        return super().to_internal_value(data)


class Flag(WithDefault, serializers.BooleanField):
    """True or false, where REST framework would also accept words and numbers."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input="")
        return data


class Moment(WithDefault, serializers.DateTimeField):
    """A time with its offset, where REST framework would take one without for UTC."""

    def to_internal_value(self, data: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(data) if isinstance(data, str) else None
            if moment and moment.tzinfo:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise serializers.ValidationError("must be a time with its offset, such as 2026-12-01T12:00:00+01:00")


class Texts(WithDefault, serializers.ListField):
    """A list of texts, whose length is checked before its items."""

    def to_internal_value(self, data: Any) -> list[str]:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))


class Pairs(serializers.DictField):
    """Text by text, sorted by name: the databases keep different orders."""

    child = serializers.CharField()

    def to_representation(self, value: Any) -> dict[str, str]:
        return dict(sorted(super().to_representation(value).items()))


class Mapping(WithDefault, serializers.DictField):
    """Text by text. `names` (a pattern) and `most` (a number) are for the schema."""

    def __init__(self, *, names: str, most: int = 0, **options: Any) -> None:
        self.names = names
        self.most = most
        super().__init__(**options)
