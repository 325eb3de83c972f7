"""Files that jobs are submitted with: kept for a time, and no longer than they may be needed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from clusters.callers import Caller
from clusters.services.of_people import project_for
from jobs.models import Input
from jobs.services.orders import Order
from jobs.spec_rules import MAX_INPUTS_BYTES
from jobs.sql.inputs import Known, delete_inputs, insert_uses, known_inputs, lock_scope, needed, old_inputs
from rainbow.errors import InvalidArgument, ResourceExhausted

# After they were put here, and after the last look that found a job which needs them.
KEPT_FOR = timedelta(days=7)
_MIB = 1024 * 1024
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    sha256: str
    size: int
    until: datetime


def check_size(size: int) -> None:
    """Raises InvalidArgument for a file that is too large."""
    if size > MAX_INPUTS_BYTES:
        raise InvalidArgument(f"must be at most {MAX_INPUTS_BYTES:,} bytes", field="content")


def keep_input(*, caller: Caller, project: str, content: bytes, now: datetime) -> Kept:
    """Keeps a file, once, for the project or the cluster that the caller submits for.

    Raises InvalidArgument, and ResourceExhausted where that keeps as much as it may.
    """
    check_size(len(content))
    scope = _scope(project_for(caller, project), caller.cluster_id)
    sha256 = hashlib.sha256(content).hexdigest()
    with transaction.atomic():
        mine = Input.objects.filter(scope=scope)
        if not mine.filter(sha256=sha256).update(kept_at=now):
            lock_scope(scope)
            # Another may have put it here before this one had its turn.
            if not mine.filter(sha256=sha256).update(kept_at=now):
                _check_quota(mine.aggregate(bytes=Sum("size"))["bytes"] or 0, len(content))
                Input.objects.create(scope=scope, sha256=sha256, size=len(content), content=content, kept_at=now)
    return Kept(sha256=sha256, size=len(content), until=now + KEPT_FOR)


def find_inputs(orders: Sequence[Order]) -> tuple[dict[tuple[str, str], Known], dict[int, InvalidArgument]]:
    """What the orders name and is kept, and of those that cannot have what they name why, by the orders' identity."""
    naming = [order for order in orders if order.spec.inputs]
    if not naming:
        return {}, {}
    wanted: dict[str, set[str]] = {}
    for order in naming:
        wanted.setdefault(_scope_of(order), set()).update(order.spec.inputs.values())
    known = known_inputs(wanted)
    return known, {id(order): refusal for order in naming if (refusal := _refusal(order, known))}


def note_uses(new: Sequence[tuple[Order, int]], known: Mapping[tuple[str, str], Known]) -> None:
    """What the new jobs name is kept until they are over."""
    if known:
        insert_uses(
            (job_id, known[_scope_of(order), digest].id)
            for order, job_id in new
            for digest in dict.fromkeys(order.spec.inputs.values())
        )


@transaction.atomic
def delete_unneeded_inputs(*, now: datetime, limit: int) -> int:
    """Looks at so many that were kept first, and returns how many; those that are still needed are young again."""
    ids = old_inputs(before=now - KEPT_FOR, limit=limit)
    if ids:
        # Its own statement, after the locks: a submission that named one of them is over by now, or sees it gone.
        still_needed = needed(ids)
        Input.objects.filter(id__in=still_needed).update(kept_at=now)
        delete_inputs(sorted(set(ids) - set(still_needed)))
    return len(ids)


def _check_quota(kept: int, more: int) -> None:
    most = settings.RAINBOW_INPUTS_MIB * _MIB
    if kept + more > most:
        raise ResourceExhausted(
            f"the inputs that this server keeps here take {kept:,} of {most:,} bytes (RAINBOW_INPUTS_MIB); each goes"
            f" {KEPT_FOR.days} days after it was put here last, once no job needs it"
        )


def _refusal(order: Order, known: Mapping[tuple[str, str], Known]) -> InvalidArgument | None:
    scope, inputs = _scope_of(order), order.spec.inputs
    for name, digest in inputs.items():
        if (scope, digest) not in known:
            shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
            return InvalidArgument(f"this server does not have {shown} (any more); put it here first", field="inputs")
    size = sum(known[scope, digest].size for digest in inputs.values())
    if size > MAX_INPUTS_BYTES:
        return InvalidArgument(f"must be at most {MAX_INPUTS_BYTES:,} bytes in all, not {size:,}", field="inputs")
    return None


def _scope_of(order: Order) -> str:
    return _scope(order.project_id, order.cluster_id)


def _scope(project_id: int | None, cluster_id: int) -> str:
    return f"p{project_id}" if project_id else f"c{cluster_id}"
