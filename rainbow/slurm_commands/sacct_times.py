"""Times as sacct takes them: 2026-12-01, 2026-12-01T12:00:00, 12:00, 12/01/26, now, now-2days, today, midnight."""

import re
from datetime import datetime, time, timedelta

from rainbow.errors import InvalidArgument

_FROM_NOW = re.compile(r"now(?P<sign>[+-])(?P<number>[0-9]{1,9})(?P<unit>[a-z]*)", re.ASCII)
_UNITS = {"": 1, "second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%m/%d/%y", "%m/%d/%y-%H:%M",
          "%m/%d/%y-%H:%M:%S", "%m%d%y")  # fmt: skip
_CLOCKS = ("%H:%M", "%H:%M:%S")
NOON = 12


def time_in(text: str, *, now: datetime) -> datetime:
    """Of this machine's time zone, as `now` is. Raises InvalidArgument."""
    midnight = datetime.combine(now.date(), time(), tzinfo=now.tzinfo)
    words = {
        "now": now,
        "today": midnight,
        "midnight": midnight,
        "noon": midnight + timedelta(hours=NOON),
        "tomorrow": midnight + timedelta(days=1),
    }
    found = words.get(text.lower()) or _from_now(text.lower(), now) or _clock(text, now) or _date(text)
    if found is None:
        raise InvalidArgument(f"{text!r} is no time; write it as 2026-12-01T12:00:00 or now-2days")
    return found


def _from_now(text: str, now: datetime) -> datetime | None:
    found = _FROM_NOW.fullmatch(text)
    unit = next((name for name in _UNITS if found and name and name.startswith(found["unit"].rstrip("s") or "-")), "")
    if not found or (found["unit"] and not unit):
        return None
    seconds = int(found["number"]) * _UNITS[unit]
    try:
        return now + timedelta(seconds=-seconds if found["sign"] == "-" else seconds)
    except OverflowError:
        return None


def _clock(text: str, now: datetime) -> datetime | None:
    for form in _CLOCKS:
        try:
            return datetime.combine(now.date(), datetime.strptime(text, form).astimezone().time(), tzinfo=now.tzinfo)
        except ValueError:
            continue
    return None


def _date(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).astimezone()
        except ValueError:
            continue
    return None
