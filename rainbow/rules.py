"""Checks of one value. Each raises InvalidArgument, with the name of the field."""

import re

from rainbow.errors import InvalidArgument

MAX_INT = 2**31 - 1
MAX_CREDENTIAL = 255
# Of what a job writes, this much is kept: the end.
MAX_OUTPUT_BYTES = 64 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def check_credential(value: str) -> None:
    """A token or a secret, as any server may make it: one word that metadata and a file can carry."""
    if not (value.isascii() and value.isprintable() and 0 < len(value) <= MAX_CREDENTIAL) or " " in value:
        raise InvalidArgument(
            f"must be 1 to {MAX_CREDENTIAL} printable ASCII characters without blanks", field="credential"
        )


def check_range(number: int, *, field: str, lowest: int, highest: int) -> None:
    if not lowest <= number <= highest:
        raise InvalidArgument(f"must be {lowest:,} to {highest:,}, not {number:,}", field=field)


def check_line(text: str, *, field: str, longest: int) -> None:
    """One line of text, counted in characters."""
    if len(text) > longest:
        raise InvalidArgument(f"must be at most {longest:,} characters, not {len(text):,}", field=field)
    if _CONTROL.search(text):
        raise InvalidArgument("must not contain control characters", field=field)
    size_in_bytes(text, field=field)


def check_control_in_lines(text: str, *, field: str) -> None:
    if _CONTROL_IN_LINES.search(text):
        raise InvalidArgument("must not contain control characters other than tab and newline", field=field)


def size_in_bytes(text: str, *, field: str) -> int:
    """The length of the text in UTF-8, which lone surrogates (JSON can carry them) do not have."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgument("must be valid UTF-8", field=field) from None
