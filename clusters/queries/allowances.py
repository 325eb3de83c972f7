"""What persons and projects have, beside the most that they may have."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.limits import LIMITS, MINUTE, SUBMISSION, limits_of
from clusters.models import Allowance, Holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """`most` None is no limit. Of submissions, those of the last minute at most."""

    limit: str
    has: int
    most: int | None


def used_by(kind: Holder, ids: Collection[int], *, now: datetime) -> Mapping[int, Sequence[Used]]:
    """Of each of these persons or projects."""
    there = {one.holder_id: one for one in Allowance.objects.filter(kind=kind, holder_id__in=ids)}
    return {id: _used(there.get(id) or Allowance(kind=kind, **_NOTHING), now) for id in ids}


_NOTHING = dict.fromkeys(("waiting", "held", "held_nodes", "submitted", "submitted_at"), 0)


def _used(allowance: Allowance, now: datetime) -> list[Used]:
    limits = limits_of(allowance.kind, {name: getattr(allowance, f"most_{name}") for name in LIMITS})
    has = {
        "waiting": allowance.waiting,
        "held": allowance.held,
        "held_nodes": allowance.held_nodes,
        "submissions": _submitted(allowance, limits.submissions, now),
    }
    return [Used(limit=name, has=max(0, has[name]), most=getattr(limits, name) or None) for name in has]


def _submitted(allowance: Allowance, most: int, now: datetime) -> int:
    """What the next submission finds (jobs/sql/allowances.py), rounded up; nothing is counted without a limit."""
    passed = min(max(0, int(now.timestamp() * 1_000_000) - allowance.submitted_at), MINUTE)
    left = min(allowance.submitted, most * SUBMISSION) - most * passed * SUBMISSION // MINUTE
    return max(0, -(-left // SUBMISSION))
