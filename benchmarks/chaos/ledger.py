"""What the submitters were told, against what the database and the agents know."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`job_id` is None for a call that failed, and `failure` its code, the error's text and the request id."""

    began: float
    ended: float
    submitter: int
    job_id: int | None
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a fault began and was over, in monotonic seconds, and when each submitter had an answer again."""

    began: float
    over: float
    recovered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    acknowledged: int
    lost: int
    twice: int
    failed_calls: int
    recovery_seconds: float
    p99_seconds: float

    @property
    def is_good(self) -> bool:
        return self.acknowledged > 0 and not self.lost and not self.twice


def read_calls(journals: Iterable[Path]) -> list[Call]:
    texts = [journal.read_text() for journal in journals if journal.exists()]
    return [
        Call(
            began=float(began),
            ended=float(ended),
            submitter=int(submitter),
            job_id=int(result) if result.isdecimal() else None,
            failure="" if result.isdecimal() else result,
        )
        for text in texts
        for began, ended, submitter, result in (line.split(maxsplit=3) for line in text.splitlines())
    ]


def answered_after(calls: Iterable[Call], when: float) -> dict[int, float]:
    """When each submitter had its first answer after that."""
    first: dict[int, float] = {}
    for call in calls:
        if call.job_id is not None and call.ended >= when:
            first[call.submitter] = min(call.ended, first.get(call.submitter, call.ended))
    return first


def judge(window: Window, calls: Iterable[Call], *, completed: set[int], starts: Counter[int]) -> Verdict:
    inside = [call for call in calls if window.began <= call.ended <= window.recovered]
    good = [call for call in inside if call.job_id is not None]
    return Verdict(
        acknowledged=len(good),
        lost=sum(call.job_id not in completed for call in good),
        twice=sum(starts[call.job_id or 0] > 1 for call in good),
        failed_calls=len(inside) - len(good),
        recovery_seconds=window.recovered - window.over,
        p99_seconds=percentile([call.ended - call.began for call in good], 0.99),
    )


def lost_jobs(calls: Iterable[Call], *, completed: set[int]) -> set[int]:
    """Of all calls, those between the faults included: what was acknowledged just before a fault it may take, too."""
    return {call.job_id for call in calls if call.job_id is not None} - completed


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0
