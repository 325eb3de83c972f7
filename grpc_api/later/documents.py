"""YAML of strangers."""

import yaml

from rainbow.errors import InvalidArgument

_MOST_EVENTS, _DEEPEST = 10_000, 32


def load(text: str, *, field: str, most_bytes: int) -> object:
    """Raises InvalidArgument."""
    if len(text.encode()) > most_bytes:
        raise InvalidArgument(f"must have at most {most_bytes:,} bytes", field=field)
    try:
        _check_shape(text, field)
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, OverflowError):
        raise InvalidArgument("must be YAML", field=field) from None


def _check_shape(text: str, field: str) -> None:
    """Before anything is built of it: aliases make much of little, and depth overflows the stack."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise InvalidArgument("must have no aliases", field=field)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST or number > _MOST_EVENTS:
            raise InvalidArgument("is too large, or too deep", field=field)
