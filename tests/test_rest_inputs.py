"""Bodies of REST are read without REST framework's own loop: what that does beside it, no input has."""

from collections.abc import Iterator

import pytest
from django.urls import get_resolver

from jobs.rest.spec_serializers import JobSpecSerializer
from rainbow_site.web.rest.fields import Input, Query


def all_inputs() -> list[type[Input]]:
    # Loads the views, and with them their serializers.
    assert get_resolver().url_patterns
    return sorted({one for one in _kinds_of(Input) if not issubclass(one, Query)}, key=str)


def _kinds_of(kind: type[Input]) -> Iterator[type[Input]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds_of(one)


def test_all_are_found() -> None:
    assert JobSpecSerializer in all_inputs()


@pytest.mark.parametrize("kind", all_inputs(), ids=str)
def test_fields_are_named_as_their_values_and_validate_themselves(kind: type[Input]) -> None:
    fields = kind().fields

    assert [name for name, field in fields.items() if field.source != name or field.read_only] == []
    assert [name for name in dir(kind) if name.startswith("validate_")] in ([], ["validate_empty_values"])
