"""Choosing one of the clusters that can run a job.

There is no language of expressions: a constraint may filter by a comparison of a fact with a number, sort by a fact,
and select. Its other steps are refused by their place.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from clusters.facts import Facts
from clusters.needs import NAME
from grpc_api.later.documents import load
from rainbow.errors import InvalidArgument

_MOST_BYTES = 16 * 1024
_OPERATORS = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}
_COMPARISON = re.compile(rf"\s*({NAME})\s*(<=|>=|==|!=|<|>)\s*(-?[0-9]{{1,15}}(?:\.[0-9]{{1,6}})?)\s*")
_PRIORITIES = "select_options.priorities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    name: str
    facts: Facts

    def number(self, fact: str) -> float | None:
        value = self.facts.known.get(fact)
        return value if isinstance(value, int | float) else None


def choose(candidates: Sequence[Candidate], *, algorithm: str, options: Mapping[str, str]) -> Candidate | None:
    """None if a constraint leaves none. Raises InvalidArgument."""
    if algorithm in ("", "random"):
        return random.choice(candidates)
    if algorithm != "constraint":
        raise InvalidArgument("must be random or constraint", field="select_algorithm")
    for place, steps in enumerate(_priorities(options.get("priorities", ""))):
        if chosen := _chosen(candidates, steps, f"{_PRIORITIES}[{place}]"):
            return chosen
    return None


def _priorities(text: str) -> list[list[Any]]:
    """The steps of each, the first priority first."""
    said = load(text, field=_PRIORITIES, most_bytes=_MOST_BYTES)
    if not isinstance(said, list) or not all(_is_priority(one) for one in said):
        raise InvalidArgument("must be a list of priorities with steps", field=_PRIORITIES)
    return [one["steps"] for one in sorted(said, key=lambda one: one["priority"])]


def _is_priority(said: object) -> bool:
    if not isinstance(said, dict) or not isinstance(said.get("steps"), list):
        return False
    return isinstance(said.get("priority"), int) and all(isinstance(step, dict) for step in said["steps"])


def _chosen(candidates: Sequence[Candidate], steps: Sequence[Mapping[str, Any]], where: str) -> Candidate | None:
    left, chosen = list(candidates), None
    for place, step in enumerate(steps):
        for kind, value in step.items():
            field = f"{where}.steps[{place}].{str(kind)[:40]}"
            if kind == "filter":
                left = _filtered(left, str(value), field)
            elif kind in ("sort_ascending", "sort_descending"):
                left = _sorted(left, str(value), descending=kind == "sort_descending")
            elif kind == "select":
                chosen = _selected(left, value, field)
            else:
                raise InvalidArgument("is no step here: filter, sort_ascending, sort_descending, select", field=field)
    return chosen or (random.choice(left) if left else None)


def _filtered(candidates: Sequence[Candidate], text: str, field: str) -> list[Candidate]:
    """A cluster that does not tell the fact is left out."""
    if not (found := _COMPARISON.fullmatch(text)):
        raise InvalidArgument("must compare a fact with a number, as nodes_free > 0", field=field)
    fact, operator, number = found[1], _OPERATORS[found[2]], float(found[3])
    numbers = ((one, one.number(fact)) for one in candidates)
    return [one for one, value in numbers if value is not None and operator(value, number)]


def _sorted(candidates: Sequence[Candidate], fact: str, *, descending: bool) -> list[Candidate]:
    """Those that do not tell the fact are last."""
    telling = [one for one in candidates if one.number(fact) is not None]
    others = [one for one in candidates if one.number(fact) is None]
    return [*sorted(telling, key=lambda one: one.number(fact) or 0.0, reverse=descending), *others]


def _selected(candidates: Sequence[Candidate], how: object, field: str) -> Candidate | None:
    if how not in ("first", "last", "random"):
        raise InvalidArgument("must be first, last or random", field=field)
    if not candidates:
        return None
    return random.choice(candidates) if how == "random" else candidates[0 if how == "first" else -1]
