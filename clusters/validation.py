"""Rules of names, labels and texts. Each check raises InvalidArgument."""

import re

from rainbow.errors import InvalidArgument

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MAX_REASON = 1000
MAX_LABEL = 63


def check_cluster_name(name: str, *, field: str = "name") -> None:
    if not _CLUSTER_NAME.fullmatch(name):
        raise InvalidArgument(
            "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit",
            field=field,
        )


def check_label(label: str) -> None:
    check_line(label, field="label", longest=MAX_LABEL, required=True)


def check_reason(reason: str, *, field: str = "reason", required: bool = False) -> None:
    check_line(reason, field=field, longest=MAX_REASON, required=required)


def check_line(text: str, *, field: str, longest: int, required: bool = False) -> None:
    """A line of text, measured in characters."""
    # The fast path: printable text has neither control characters nor lone surrogates.
    if text.isprintable() and len(text) <= longest and (text or not required):
        return
    if required and not text:
        raise InvalidArgument("must not be empty", field=field)
    if len(text) > longest:
        raise InvalidArgument(f"must be at most {longest:,} characters, not {len(text):,}", field=field)
    if _CONTROL.search(text):
        raise InvalidArgument("must not contain control characters", field=field)
    size_in_bytes(text, field=field)


def check_lines(text: str, *, field: str, longest: int) -> None:
    """Text of any number of lines, measured in bytes of UTF-8."""
    if text.isascii() and text.isprintable() and len(text) <= longest:
        return
    size = size_in_bytes(text, field=field)
    if size > longest:
        raise InvalidArgument(f"must be at most {longest:,} bytes, not {size:,}", field=field)
    if _CONTROL_IN_LINES.search(text):
        raise InvalidArgument("must not contain control characters other than tab and newline", field=field)


def size_in_bytes(text: str, *, field: str) -> int:
    """The length in UTF-8. Raises InvalidArgument for lone surrogates, which JSON can carry."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgument("must be valid UTF-8", field=field) from None


def check_range(number: int, *, field: str, lowest: int, highest: int) -> None:
    if not lowest <= number <= highest:
        raise InvalidArgument(f"must be {lowest:,} to {highest:,}, not {number:,}", field=field)


def tail_of(text: str, longest: int) -> str:
    """The last bytes of the text in UTF-8, cut at a character, without null characters."""
    end = text.replace("\0", "").encode()[-longest:]
    return end.decode(errors="ignore")
