"""Escaping untrusted text for people."""

import re
from collections.abc import Iterable, Sequence

# Control characters except tab and newline; and bidirectional ones (UAX #9, section 2), which can disguise a command.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: object) -> str:
    """The text with control and bidirectional characters escaped."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def visible_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The rows under their titles, in columns."""
    table = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(visible("  ".join(map(str.ljust, row, widths)).rstrip()) for row in table)


def quoted(text: str, *, longest: int = 64) -> str:
    """The beginning of the text, quoted as one word of a log line."""
    return repr(text[:longest])


def shortened(text: str, *, longest: int) -> str:
    """The text, or of a longer one its beginning and an ellipsis."""
    return text if len(text) <= longest else f"{text[: max(0, longest - 1)]}…"
