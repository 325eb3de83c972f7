"""Spans of time as Slurm writes them."""

import re
from datetime import timedelta

_CLOCK = re.compile(r"(?:(?P<days>\d{1,6})-)?(?P<parts>\d{1,9}(?::\d{1,9}){0,2})", re.ASCII)
UNLIMITED = frozenset({"infinite", "unlimited", "-1", "0"})
MINUTE, HOUR, DAY = 60, 3600, 86_400


def seconds_of_clock(text: str) -> int | None:
    """Of minutes, M:S, H:M:S, D-H, D-H:M and D-H:M:S, as sbatch(1) has them.

    None for what is none of these.
    """
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        return int(found["days"]) * DAY + _sum(parts, (HOUR, MINUTE, 1))
    return _sum(parts, {1: (MINUTE,), 2: (MINUTE, 1), 3: (HOUR, MINUTE, 1)}[len(parts)])


def clock(span: timedelta) -> str:
    """As sacct prints it: [days-]hours:minutes:seconds."""
    days, rest = divmod(max(0, int(span.total_seconds())), DAY)
    hours, rest = divmod(rest, HOUR)
    return f"{f'{days}-' if days else ''}{hours:02}:{rest // MINUTE:02}:{rest % MINUTE:02}"


def brief_clock(span: timedelta) -> str:
    """As squeue prints it, with hours and days as needed: 0:00, 1:02:03, 1-02:03:04."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < HOUR:
        return f"{seconds // MINUTE}:{seconds % MINUTE:02}"
    return clock(span) if seconds >= DAY else clock(span).removeprefix("0")


def _sum(parts: list[int], units: tuple[int, ...]) -> int:
    return sum(part * unit for part, unit in zip(parts, units, strict=False))
