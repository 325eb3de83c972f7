"""Charts as numbers for an SVG template, and for the table beside each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobs.queries.activity import Timeline, activity_over
from jobs.states import Activity, JobState, Span

WIDTH, HEIGHT = 320, 120
# Margins for the axis labels.
_LEFT, _BOTTOM, _TOP = 34, 16, 8
_ENDS = (Activity.COMPLETED, Activity.FAILED, Activity.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A label of an axis; `at` is its x or y."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    began_at: datetime
    cells: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Bars for ends, the failed part of each, and lines for submissions and starts."""

    name: str
    title: str
    summary: str
    bars: list[Bar]
    submitted: str
    started: str
    heights: list[Mark]
    times: list[Mark]
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A state's share of all jobs, in percent of a bar."""

    state: JobState
    jobs: int
    x: float
    width: float


# Name, title, interval, number of intervals, and time format.
_CHARTS = (
    ("hour", "Last hour", Span.FIVE_MINUTES, 13, "%H:%M"),
    ("day", "Last day", Span.HOUR, 25, "%H:%M"),
    ("week", "Last week", Span.SIX_HOURS, 29, "%a %H:%M"),
)


def charts(*, now: datetime, cluster_id: int | None = None) -> list[Chart]:
    return [
        _chart(name, title, activity_over(span=span, stretches=number, now=now, cluster_id=cluster_id), times)
        for name, title, span, number, times in _CHARTS
    ]


def shares(counts: dict[JobState, int]) -> list[Share]:
    total, x, found = sum(counts.values()), 0.0, []
    for state in JobState:
        width = 100 * counts.get(state, 0) / total if total else 0.0
        found.append(Share(state=state, jobs=counts.get(state, 0), x=round(x, 2), width=round(width, 2)))
        x += width
    return found


def _chart(name: str, title: str, timeline: Timeline, times: str) -> Chart:
    numbers = timeline.numbers
    ended = timeline.total(*_ENDS)
    top = _round_up(max(*ended, *numbers[Activity.SUBMITTED], *numbers[Activity.STARTED], 1))
    return Chart(
        name=name,
        title=title,
        summary=_summary(title, timeline),
        bars=_bars(ended, numbers[Activity.FAILED], top),
        submitted=_line(numbers[Activity.SUBMITTED], top),
        started=_line(numbers[Activity.STARTED], top),
        heights=[Mark(at=_y(value, top), text=_short(value)) for value in (0, top // 2, top)],
        times=_time_marks(timeline, times),
        columns=[what.label for what in Activity],
        rows=[
            Row(began_at=at, cells=[numbers[what][place] for what in Activity])
            for place, at in enumerate(timeline.beginnings)
        ],
    )


def _summary(title: str, timeline: Timeline) -> str:
    total = {what: sum(numbers) for what, numbers in timeline.numbers.items()}
    ended = sum(total[what] for what in _ENDS)
    return (
        f"{title}: {total[Activity.SUBMITTED]:,} submitted, {total[Activity.STARTED]:,} started, "
        f"{ended:,} ended, of which {total[Activity.FAILED]:,} failed"
    )


def _bars(ended: Sequence[int], failed: Sequence[int], top: int) -> list[Bar]:
    step = (WIDTH - _LEFT) / len(ended)
    bars = []
    for place, (all_of_them, bad) in enumerate(zip(ended, failed, strict=True)):
        x = round(_LEFT + place * step + step * 0.15, 1)
        for number, kind in ((all_of_them, "ended"), (bad, "failed")):
            if number:
                y = _y(number, top)
                height = round(_y(0, top) - y, 1)
                bars.append(Bar(x=x, y=y, width=round(step * 0.7, 1), height=height, kind=kind))
    return bars


def _line(numbers: Sequence[int], top: int) -> str:
    """The points of a line through the middle of each interval, including the unfinished last one."""
    step = (WIDTH - _LEFT) / len(numbers)
    return " ".join(f"{_LEFT + (place + 0.5) * step:.1f},{_y(number, top)}" for place, number in enumerate(numbers))


def _time_marks(timeline: Timeline, times: str) -> list[Mark]:
    number = len(timeline.beginnings)
    step = (WIDTH - _LEFT) / number
    places = (0, number // 2, number - 1)
    return [
        Mark(at=round(_LEFT + (place + 0.5) * step, 1), text=f"{timeline.beginnings[place]:{times}}")
        for place in places
    ]


def _y(number: int, top: int) -> float:
    return round(HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * number / top, 1)


def _round_up(number: int) -> int:
    """The next of 2, 4, 6, 8, 10, 20, 40, 60 and so on, whose half is an integer."""
    unit = int(10 ** (len(str(number)) - 1))
    return next(factor * unit for factor in (2, 4, 6, 8, 10) if factor * unit >= number)


def _short(number: int) -> str:
    return f"{number // 1000}k" if number >= 10_000 else f"{number:,}"
