"""What a site adds to the facts of its scheduler, from a file and the command line."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from rainbow.errors import InvalidArgument, why
from rainbow.facts import MAX_BYTES, MAX_NUMBER, MAX_TEXT, MAX_TEXTS, MAX_VALUES, NAME, Facts, Value
from rainbow.rules import check_line

# The rest is for what the scheduler tells.
MOST_BYTES = MAX_BYTES // 2
MOST_VALUES = MAX_VALUES // 2


def read_facts_file(path: Path) -> dict[str, Value]:
    """The facts of a TOML file: numbers, strings, booleans and arrays of strings by name. Raises InvalidArgument."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error
    try:
        return check_site_facts({name: _value(name, value) for name, value in content.items()})
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}: {error}") from error


def told_facts(pairs: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """Of names and values as on a command line: a name that is repeated has a set. Raises InvalidArgument."""
    told: dict[str, list[str]] = {}
    for name, value in pairs:
        told.setdefault(name, []).append(value)
    return check_site_facts(
        {name: _number_or_text(texts[0]) if len(texts) == 1 else tuple(texts) for name, texts in told.items()}
    )


def check_site_facts(facts: Mapping[str, Value]) -> dict[str, Value]:
    """The same facts. Raises InvalidArgument."""
    if len(facts) > MOST_VALUES:
        raise InvalidArgument(f"there may be {MOST_VALUES} facts, not {len(facts):,}")
    for name, value in facts.items():
        _check(name, value)
    if (size := Facts(values=facts).size) > MOST_BYTES:
        raise InvalidArgument(f"facts may have {MOST_BYTES:,} bytes in all, not {size:,}")
    return dict(facts)


def _check(name: str, value: Value) -> None:
    if not NAME.fullmatch(name):
        raise InvalidArgument(
            "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter", field=repr(name)
        )
    if isinstance(value, int | float):
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise InvalidArgument(f"must be a number from {-MAX_NUMBER:,} to {MAX_NUMBER:,}", field=name)
        return
    texts = value if isinstance(value, tuple) else (value,)
    if len(texts) > MAX_TEXTS:
        raise InvalidArgument(f"must be at most {MAX_TEXTS:,} texts, not {len(texts):,}", field=name)
    for text in texts:
        check_line(text, field=name, longest=MAX_TEXT)
        if not text and isinstance(value, tuple):
            raise InvalidArgument("must not have empty texts", field=name)


def _value(name: str, value: object) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return tuple(dict.fromkeys(value))
    raise InvalidArgument("must be a number, a string, true, false or an array of strings", field=name)


def _number_or_text(text: str) -> Value:
    """A number only if it is written as one would write it: 007 and 1e5 are texts."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text and abs(number) <= MAX_NUMBER:
            return number
    return text
