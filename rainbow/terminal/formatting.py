"""Numbers and times as text."""

from datetime import datetime

from rainbow.runner.output import spelled

UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def ago(moment: datetime, *, now: datetime) -> str:
    seconds = round((now - moment).total_seconds())
    noun, length = next(((noun, length) for noun, length in UNITS if abs(seconds) >= length), ("", 1))
    if not noun:
        return "just now"
    words = count(abs(seconds) // length, noun)
    return f"{words} ago" if seconds > 0 else f"in {words}"


def last_asked(name: str, at: datetime | None, *, now: datetime) -> str:
    """True of a cluster and of a pool, which has its clusters ask."""
    return f"Jobs of {name} were last asked for {ago(at, now=now)}." if at else f"Jobs of {name} were never asked for."


def when(moment: datetime, *, now: datetime) -> str:
    return f"{local(moment)} ({ago(moment, now=now)})"


def local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def span(seconds: int) -> str:
    """As the command line takes it: 1h30m."""
    parts = []
    for noun, length in UNITS:
        number, seconds = divmod(seconds, length)
        parts.append(f"{number}{noun[0]}" if number else "")
    return "".join(parts) or "0s"


def memory(mib: int) -> str:
    return spelled(mib * 1024**2)
