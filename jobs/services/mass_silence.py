"""Keeping expired leases in force while the network, rather than the agents, seems to have failed.

Clusters are not trusted in this: whatever they do, leases run on for HOLD_AT_MOST in HOLD_AGAIN_AFTER.
"""

from datetime import datetime, timedelta

from jobs.leases import HOLD_AGAIN_AFTER, HOLD_AT_MOST
from jobs.models import LeaseWatch
from jobs.queries.silence import silent_clusters


def hold_back(*, now: datetime) -> frozenset[int]:
    """The ids of the clusters whose expired leases stay in force. Stores since when, for operators to see."""
    watch = LeaseWatch.objects.get(id=1)
    silent = silent_clusters(now=now)
    began = watch.hold_began_at
    if silent and (began is None or not timedelta(0) <= now - began < HOLD_AGAIN_AFTER):
        began = now
    holds = bool(silent) and began is not None and now - began < HOLD_AT_MOST
    since = (watch.held_back_since or now) if holds else None
    if (began, since) != (watch.hold_began_at, watch.held_back_since):
        LeaseWatch.objects.filter(id=1).update(hold_began_at=began, held_back_since=since)
    return silent if holds else frozenset()
