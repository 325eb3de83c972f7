"""Which jobs a caller sees, and on which it may act."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import F, Q
from django.db.models.lookups import In

from clusters.callers import Caller, Operator
from clusters.models import OF_CLUSTERS, CredentialKind

# Where a job may have been, or may be.
_PLACES = ("cluster_id", "submitted_to_id", "taken_from_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The jobs that have one of the `owners`, each a column with its value.

    Of these only those of a project, and those of some clusters, if that is said.

    `within` and `condition` are for jobs that are named by their ids. No index serves them unless `indexed` says so:
    SQLite would choose it over ten ids, since it has no statistics, and walk all jobs of a cluster.
    """

    owners: tuple[tuple[str, int], ...]
    project_id: int | None = None
    cluster_ids: frozenset[int] = frozenset()

    @property
    def narrowed(self) -> bool:
        return bool(self.project_id or self.cluster_ids)

    @property
    def narrowing(self) -> Q:
        narrowing = Q(project_id=self.project_id) if self.project_id else Q()
        if self.cluster_ids:
            narrowing &= _any(Q(**{f"{place}__in": self.cluster_ids}) for place in _PLACES)
        return narrowing

    @property
    def within(self) -> Q:
        within = _any(Q(without_index(column, {value})) for column, value in self.owners) or Q(pk__in=())
        if self.project_id:
            within &= Q(without_index("project_id", {self.project_id}))
        if self.cluster_ids:
            within &= _any(Q(without_index(place, self.cluster_ids)) for place in _PLACES)
        return within

    def condition(self, job: str, *, indexed: bool = False) -> tuple[str, list[int]]:
        """The same in SQL, for jobs under this name, with its values."""
        job = job if indexed else f"+{job}"
        owned = " OR ".join(f"{job}.{column} = %s" for column, _ in self.owners) or "FALSE"
        parts, values = [f"({owned})"], [value for _, value in self.owners]
        if self.project_id:
            parts.append(f"{job}.project_id = %s")
            values.append(self.project_id)
        if self.cluster_ids:
            places = ",".join(["%s"] * len(self.cluster_ids))
            parts.append(f"({' OR '.join(f'{job}.{place} IN ({places})' for place in _PLACES)})")
            values += sorted(self.cluster_ids) * len(_PLACES)
        return " AND ".join(parts), values


def without_index(column: str, values: Collection[int]) -> In:
    """That a job has one of these values, which no index is asked for."""
    return In(F(column) + 0, values)


def seen_by(caller: Caller) -> Sight:
    """A token sees the jobs that were submitted with it, wherever they are now; a secret all of its cluster; a person
    their own, and all of the projects that show them; a project's token those of the project.
    """
    return _sight(caller, [one.id for one in caller.projects if one.leads or one.shares])


def sight_of(by: Caller | Operator) -> Sight | None:
    """The same; None for operators, who see all jobs."""
    return seen_by(by) if isinstance(by, Caller) else None


def owned_by(caller: Caller) -> Sight:
    """The same, except that of a project's members only the leads act on the jobs of others."""
    return _sight(caller, [one.id for one in caller.projects if one.leads])


def taken_by(caller: Caller) -> Sight | None:
    """The jobs that an agent of the caller's may take: a person's the person's own; None: all of its cluster."""
    if caller.person_id is None:
        return None
    return Sight(owners=(("owner_id", caller.person_id),), project_id=caller.narrowed_to)


def _sight(caller: Caller, projects: Iterable[int]) -> Sight:
    if caller.kind in OF_CLUSTERS:
        return Sight(owners=(_of_cluster(caller),))
    own = [("owner_id", caller.person_id)] if caller.person_id else []
    return Sight(
        owners=(*own, *(("project_id", project_id) for project_id in projects)),
        project_id=caller.narrowed_to if caller.person_id else None,
        cluster_ids=caller.scopes,
    )


def _of_cluster(caller: Caller) -> tuple[str, int]:
    if caller.kind == CredentialKind.TOKEN:
        return "submitted_by_id", caller.credential_id
    return "cluster_id", caller.cluster_id


def _any(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions, Q())
