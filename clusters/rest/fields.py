"""Fields that take what the schema says and nothing else: no number for a text, no text for a number."""

from typing import Any

from rest_framework import serializers


class Text(serializers.CharField):
    """Text as it is, white space included."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Number(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Mapping(serializers.DictField):
    """Text by text."""

    child = Text(allow_blank=True)
