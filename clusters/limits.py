"""The most that a person or a project may have."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

# A submission, in the unit of what was submitted of late; and a minute in microseconds.
SUBMISSION = 1_000_000
MINUTE = 60_000_000
# As a setting ends, and as the columns of Allowance that hold an operator's own begin with `most_`.
LIMITS = ("waiting", "held", "held_nodes", "submissions")
# What clusters hold delays further jobs; the others refuse submissions.
HELD_LIMITS = ("held", "held_nodes")
SAYS = {
    "waiting": "waiting jobs",
    "held": "jobs held by clusters",
    "held_nodes": "nodes held by clusters",
    "submissions": "submissions a minute",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """0 is no limit. `submissions` are a minute's."""

    waiting: int
    held: int
    held_nodes: int
    submissions: int


def default_limit(kind: str, limit: str) -> int:
    most: int = getattr(settings, f"RAINBOW_{kind}_{limit}".upper())
    return most


def limits_of(kind: str, own: Mapping[str, int | None]) -> Limits:
    """The defaults of its kind, and what an operator set in their place."""
    return Limits(**{name: _either(own.get(name), default_limit(kind, name)) for name in LIMITS})


def _either(own: int | None, default: int) -> int:
    return default if own is None else own
