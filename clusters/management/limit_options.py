"""The options by which manage.py sets limits, and how it shows them."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Mapping
from typing import Any

from clusters.limits import LIMITS, SAYS
from clusters.queries.allowances import Used

_WORDS = {"default": None, "none": 0}


def add_limits(parser: ArgumentParser) -> None:
    for name in LIMITS:
        option = f"--{name.replace('_', '-')}"
        says = f"the most {SAYS[name]}; `none` for no limit, `default` for the server's setting"
        parser.add_argument(option, dest=name, type=_most, default=..., metavar="NUMBER", help=says)


def limits_in(options: Mapping[str, Any]) -> dict[str, int | None]:
    """Those that are named."""
    return {name: options[name] for name in LIMITS if options[name] is not ...}


def shown(used: Iterable[Used]) -> str:
    limited = [f"{one.has:,} of {one.most:,} {SAYS[one.limit]}" for one in used if one.most]
    return ", ".join(limited) or "none"


def _most(text: str) -> int | None:
    if text in _WORDS:
        return _WORDS[text]
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return int(text)
    raise ArgumentTypeError(f"must be a number, `none` or `default`, not {text!r}")
