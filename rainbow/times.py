"""Points in time, as people and programs write them in ISO 8601."""

from datetime import UTC, datetime


def time_in(text: str) -> datetime | None:
    """None if it is no time, or says no offset from UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def local_time_in(text: str) -> datetime | None:
    """The same, of this machine's time zone if it says none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
