"""Pools of the cast's clusters."""

from dataclasses import dataclass
from datetime import datetime

from clusters.callers import Caller, Claim
from clusters.models import Cluster
from clusters.services.authenticate import admit
from jobs.services.pools import Member, create_pool
from tests.support.queue import operator_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    name: str
    cluster: Cluster
    token: str
    submitter: Caller


def pool_of(*members: Member | str, name: str = "big", now: datetime) -> Pool:
    """A pool of clusters, made by an operator of its name; a member is a name, or has a delay."""
    whole = [Member(cluster=one) if isinstance(one, str) else one for one in members]
    new = create_pool(name=name, members=whole, by=operator_named(f"maker-of-{name}"), now=now)
    submitter = admit(Claim(value=new.token.value), now=now)
    return Pool(name=name, cluster=new.pool, token=new.token.value, submitter=submitter)
