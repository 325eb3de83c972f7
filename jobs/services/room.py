"""Leaving out of accepts what limits on what clusters hold have no room for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import NamedTuple

from jobs.room import Full, Room, names_of
from jobs.sight import Sight
from jobs.sql.allowances import held_by, holders
from jobs.sql.updates import takeable_of_people


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The jobs that an accept names, and those that it may take (`take_jobs`): `shared` with a lease."""

    cluster_id: int
    job_ids: Sequence[int]
    shared: bool
    within: Sight | None


class _Job(NamedTuple):
    id: int
    owner_id: int | None
    project_id: int | None
    nodes: int


def without_room(wishes: Sequence[Wish], now: datetime) -> dict[int, str]:
    """Those of the jobs that are to be left out, and whose limit does that. The first ones get the room.

    Their allowances stay locked until the commit, so that of accepts at the same time each sees what the one before
    took. Only jobs that would be taken use room: others may be of anyone.
    """
    jobs = {job.id: job for wish in wishes for job in _takeable(wish, now)}
    keys = {key for job in jobs.values() for key in holders(job.owner_id, job.project_id)}
    room = Room.of(held_by(keys, lock=True))
    lacking: dict[int, Full] = {}
    for job in jobs.values():
        of_job = (job.owner_id, job.project_id, job.nodes)
        if full := room.lacks(*of_job):
            lacking[job.id] = full
        else:
            room.take(*of_job)
    names = names_of(lacking.values()) if lacking else {}
    return {job_id: full.said(names) for job_id, full in lacking.items()}


def _takeable(wish: Wish, now: datetime) -> list[_Job]:
    """In the order in which they are named."""
    named = list(dict.fromkeys(wish.job_ids))
    found = takeable_of_people(wish.cluster_id, named, shared=wish.shared, within=wish.within, now=now)
    jobs = {job.id: job for job in starmap(_Job, found)}
    return [jobs[id] for id in named if id in jobs]
