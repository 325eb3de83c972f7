from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.models import Job, JobEvent
from jobs.states import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the bar, in one state; `x` and `width` in percent."""

    state: str
    x: float
    width: float
    lasted: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """`waited` and `ran` are of the last attempt; None if it did not get that far."""

    events: list[tuple[JobEvent, timedelta]]
    segments: list[Segment]
    waited: timedelta | None
    ran: timedelta | None


def timeline(job: Job, now: datetime) -> Timeline:
    """The events with their time since the submission; the bar ends at the job's end, or now."""
    events = list(job.events.all())
    queued_at = max((one.at for one in events if one.state == JobState.QUEUED), default=job.submitted_at)
    return Timeline(
        events=[(event, event.at - job.submitted_at) for event in events],
        segments=_segments(events, job.finished_at or now),
        waited=(job.accepted_at or job.finished_at or now) - queued_at,
        ran=(job.finished_at or job.lost_at or now) - job.started_at if job.started_at else None,
    )


def _segments(events: list[JobEvent], end: datetime) -> list[Segment]:
    if not events:
        return []
    begin, whole = events[0].at, max((end - events[0].at).total_seconds(), 0.001)
    ends = [*(event.at for event in events[1:]), end]
    return [
        Segment(
            state=event.state,
            x=round(100 * (event.at - begin).total_seconds() / whole, 2),
            width=round(100 * (until - event.at).total_seconds() / whole, 2),
            lasted=until - event.at,
        )
        for event, until in zip(events, ends, strict=True)
        if until > event.at
    ]
