"""What callers wrote, for people to read."""

import re

# Control characters but tab and newline; and those that turn the direction of what follows (UAX #9, section 2),
# with which a command could look like another.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: object) -> str:
    """The text with those characters escaped that would not show, or would make it look like another."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def quoted(text: str, *, longest: int = 64) -> str:
    """The beginning of a text as one word of a log line: nothing in it ends the line or looks like another word."""
    return repr(text[:longest])
