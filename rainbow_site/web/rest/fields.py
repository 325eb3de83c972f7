"""Input that is taken as the schema says and not otherwise: no number for a text, nothing that is not known."""

from collections.abc import Container, Iterable
from collections.abc import Mapping as MappingType
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

UNKNOWN_PARAMETER = "unknown query parameter"
# A body has room for hundreds of thousands of mistakes; this many of them are named.
MOST_TOLD = 100
# Patterns of the schema: what clusters/validation.py takes.
CLUSTER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
LINES = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"


class Input(serializers.Serializer[Any]):
    """A JSON object of a request's body. Unknown fields are refused: a misspelled one would be silently ignored."""

    unknown = "unknown field"

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, MappingType):
            refuse_unknown(data, self.fields, self.unknown)
        return super().to_internal_value(data)


class Query(Input):
    """The parameters of a query string."""

    unknown = UNKNOWN_PARAMETER


def refuse_unknown(given: Iterable[object], known: Container[object], error: str) -> None:
    """Raises ValidationError with this error for each name that is not known, up to MOST_TOLD."""
    if unknown := [str(name) for name in given if name not in known]:
        raise serializers.ValidationError({name: [error] for name in unknown[:MOST_TOLD]})


class Text(serializers.CharField):
    """Text as it is, white space included. The `pattern` is for the schema: the service checks, in its words."""

    def __init__(self, *, pattern: str = "", **options: Any) -> None:
        self.pattern = pattern
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Number(serializers.IntegerField):
    """A whole number; in JSON 2.0 is one, too."""

    def to_internal_value(self, data: Any) -> int:
        whole = isinstance(data, int) or (isinstance(data, float) and data.is_integer())
        if isinstance(data, bool) or not whole:
            self.fail("invalid")
        return int(super().to_internal_value(int(data)))


class Digits(serializers.IntegerField):
    """A whole number in a query string: Python would also take 1_000 and 1.0."""

    def get_value(self, dictionary: Any) -> Any:
        # REST framework would take an empty one for one that is not there.
        return dictionary.get(self.field_name, empty)

    def to_internal_value(self, data: Any) -> int:
        if not (isinstance(data, str) and data.isascii() and data.isdecimal()):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Numbers(serializers.ListField):
    """Whole numbers. More than there may be are refused before any is looked at."""

    def __init__(self, *, lowest: int, highest: int, max_length: int) -> None:
        child = Number(min_value=lowest, max_value=highest)
        super().__init__(child=child, min_length=1, max_length=max_length)

    def to_internal_value(self, data: Any) -> list[int]:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))


class Choice(serializers.ChoiceField):
    """One of some words. Others are not repeated in the refusal: they can be as long as a body."""

    default_error_messages = {"invalid_choice": "must be one of {choices}"}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid_choice", choices=", ".join(self.choices))
        return super().to_internal_value(data)


class Pairs(serializers.DictField):
    """Text by text, as an answer: in the order of the names, whichever the database keeps."""

    child = serializers.CharField()

    def to_representation(self, value: Any) -> dict[str, str]:
        return dict(sorted(super().to_representation(value).items()))


class Mapping(serializers.DictField):
    """Text by text. The pattern of its `names` and how many it has at `most` are for the schema."""

    def __init__(self, *, names: str, most: int = 0, **options: Any) -> None:
        self.names = names
        self.most = most
        super().__init__(**options)
