"""Numbers, times and states as the console's pages write them."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.visible import visible
from jobs.queries.warnings import in_words

register = template.Library()
register.filter(visible)

_DASH = "\N{EN DASH}"


@register.filter
def number(value: int | None) -> str:
    """1,234; nothing for None."""
    return "" if value is None else f"{value:,}"


@register.filter
def told(value: int) -> str:
    """1,234; a dash for 0, where that means that it is not told."""
    return f"{value:,}" if value else _DASH


@register.filter
def span(value: timedelta | None) -> str:
    """42 minutes; a dash for None."""
    return in_words(value) if value is not None else _DASH


@register.filter
def seconds(value: int) -> str:
    """How long so many seconds are, in words; a dash for 0."""
    return in_words(timedelta(seconds=value)) if value else _DASH


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """A time in full, to the second, in UTC."""
    if value is None:
        return _DASH
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), f"{value:%Y-%m-%d %H:%M:%S} UTC")


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """How long ago, in words, with the full time as a tooltip; a dash for None."""
    if value is None:
        return _DASH
    passed = timezone.now() - value
    words = "just now" if passed < timedelta(seconds=1) else f"{in_words(passed)} ago"
    return _time(value, words)


@register.filter
def until(value: datetime | None) -> SafeString | str:
    """How long until then, in words; a dash for None."""
    if value is None:
        return _DASH
    left = value - timezone.now()
    words = f"in {in_words(left)}" if left > timedelta(0) else f"{in_words(-left)} ago"
    return _time(value, words)


@register.filter
def badge(state: str) -> SafeString:
    """A state, told by its word, a color and a shape."""
    return format_html('<span class="state state-{}">{}</span>', state, state)


def _time(value: datetime, words: str) -> SafeString:
    full = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), full, words)
