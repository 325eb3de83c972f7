"""The terms of a job's `needs`, which are about the facts of a cluster."""

import re
from dataclasses import dataclass
from enum import StrEnum

from clusters.validation import check_line
from rainbow.errors import InvalidArgument

MAX_NEEDS = 32
MAX_VALUE = 255

NAME = r"[A-Za-z][A-Za-z0-9._-]{0,62}"
# Such numbers are exact as a float, too.
NUMBER = r"[0-9]{1,15}|[0-9]{1,9}\.[0-9]{1,6}"
_TERM = re.compile(rf"(?P<lacks>!)?(?P<name>{NAME})(?:>=(?P<number>{NUMBER})|=(?P<text>(?![<=>]).*))?", re.DOTALL)
_FORMS = (
    "terms must be NAME, !NAME, NAME=VALUE or NAME>=NUMBER; a name is 1 to 63 letters, digits, dots, underscores and"
    " hyphens, the first a letter; a number is up to 15 digits, or up to 9 with up to 6 decimals"
)


class Op(StrEnum):
    """How a term tests a fact."""

    HAS = "has"
    LACKS = "lacks"
    EQUALS = "="
    AT_LEAST = ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A term. `value` is a text for EQUALS, a number for AT_LEAST, and None otherwise."""

    name: str
    op: Op
    value: str | int | float | None = None


def parse_need(text: str) -> Need:
    """Raises InvalidArgument."""
    term = _TERM.fullmatch(text)
    if not term or (term["lacks"] and text != f"!{term['name']}"):
        raise InvalidArgument(_FORMS, field="needs")
    name = term["name"]
    if (number := term["number"]) is not None:
        return Need(name=name, op=Op.AT_LEAST, value=float(number) if "." in number else int(number))
    if (value := term["text"]) is not None:
        check_line(value, field="needs", longest=MAX_VALUE, required=True)
        return Need(name=name, op=Op.EQUALS, value=value)
    return Need(name=name, op=Op.LACKS if term["lacks"] else Op.HAS)
