"""The room that limits on what clusters hold leave to the jobs of persons and projects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from django.contrib.auth.models import User

from clusters.limits import HELD_LIMITS, default_limit, limits_of
from clusters.models import Holder, Project
from jobs.remembered import Remembered
from jobs.sql.allowances import Held, HolderKey, held_by, held_by_all, held_limit_is_set, holders


class Full(NamedTuple):
    """Who has no room for a job, which wants so many nodes if it is for these that there is none."""

    held: Held
    wants_nodes: int

    def said(self, names: Mapping[HolderKey, str]) -> str:
        kind, _ = self.held.key
        who = f"{kind} {names.get(self.held.key, self.held.key[1])}"
        if self.wants_nodes:
            of = f"{self.held.nodes:,} of the {self.held.limits.held_nodes:,} nodes that it may"
            return f"{who} holds {of}, and the job wants {self.wants_nodes:,}"
        return f"{who} holds {self.held.jobs:,} of the {self.held.limits.held:,} jobs that it may"


@dataclass(kw_only=True)
class Room:
    """Of whom `held` says nothing, nothing is held, and the limits are those of the settings."""

    held: dict[HolderKey, Held]

    @classmethod
    def of(cls, held: Iterable[Held]) -> "Room":
        return cls(held={one.key: one for one in held})

    @cached_property
    def binds(self) -> bool:
        """Whether there are jobs without room: of those who are full, or, where nodes are limited, large ones."""
        if any(default_limit(kind, "held_nodes") for kind in Holder.values):
            return True
        return any(one.limits.held_nodes or 0 < one.limits.held <= one.jobs for one in self.held.values())

    def lacks(self, owner_id: int | None, project_id: int | None, nodes: int) -> Full | None:
        for key in holders(owner_id, project_id):
            one = self._of(key)
            if 0 < one.limits.held <= one.jobs:
                return Full(one, 0)
            if 0 < one.limits.held_nodes < one.nodes + nodes:
                return Full(one, nodes)
        return None

    def take(self, owner_id: int | None, project_id: int | None, nodes: int) -> None:
        for key in holders(owner_id, project_id):
            one = self._of(key)
            self.held[key] = one._replace(jobs=one.jobs + 1, nodes=one.nodes + nodes)

    def _of(self, key: HolderKey) -> Held:
        return self.held.get(key) or Held(key, 0, 0, limits_of(key[0], {}))


def held_limits_exist() -> bool:
    """As of a second ago at most."""
    return _exist.value()


def room_now() -> Room | None:
    """As of a second ago at most; None where no held limit exists or all jobs have room."""
    if not held_limits_exist():
        return None
    room = _room.value()
    return room if room.binds else None


def lack_of_room(owner_id: int | None, project_id: int | None, nodes: int) -> str:
    """Whose limit keeps such a job waiting, in words; empty where none does."""
    if not project_id or not held_limits_exist():
        return ""
    full = Room.of(held_by(holders(owner_id, project_id), lock=False)).lacks(owner_id, project_id, nodes)
    return full.said(names_of([full])) if full else ""


def names_of(full: Iterable[Full]) -> dict[HolderKey, str]:
    keys = {one.held.key for one in full}
    persons, projects = ([id for its, id in keys if its == kind] for kind in (Holder.PERSON, Holder.PROJECT))
    users = User.objects.filter(id__in=persons).values_list("id", "username") if persons else ()
    named = Project.objects.filter(id__in=projects).values_list("id", "name") if projects else ()
    of_persons: dict[HolderKey, str] = {(Holder.PERSON.value, id): name for id, name in users}
    return of_persons | {(Holder.PROJECT.value, id): name for id, name in named}


def _exists() -> bool:
    defaults = (default_limit(kind, limit) for kind in Holder.values for limit in HELD_LIMITS)
    return any(defaults) or held_limit_is_set()


_exist = Remembered(_exists)
_room = Remembered(lambda: Room.of(held_by_all()))


def forget_room() -> None:
    """For what is about to ask since jobs ended: it would find those full who are no longer."""
    _room.forget()


def forget_limits() -> None:
    _exist.forget()
    _room.forget()
