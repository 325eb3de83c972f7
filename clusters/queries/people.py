"""What callers are, and their projects."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from clusters.callers import Caller
from clusters.models import Credential, Grant, Membership, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Mine:
    """A project that a caller acts for, and the clusters and pools that it reaches there, by name."""

    id: int
    name: str
    leads: bool
    shares: bool
    clusters: list[str]


def projects_of(caller: Caller) -> list[Mine]:
    clusters = _granted((project.id for project in caller.projects), among=caller.scopes)
    return [
        Mine(
            id=project.id,
            name=project.name,
            leads=project.leads,
            shares=project.shares,
            clusters=clusters[project.id],
        )
        for project in caller.projects
    ]


def projects_of_person(person_id: int) -> list[Mine]:
    """Their open projects, by name, with all that these may use."""
    memberships = Membership.objects.filter(person_id=person_id, project__closed_at__isnull=True)
    memberships = memberships.select_related("project").order_by("project__name")
    clusters = _granted(memberships.values_list("project_id", flat=True))
    return [
        Mine(
            id=one.project_id,
            name=one.project.name,
            leads=one.role == Role.LEAD,
            shares=one.project.shares_jobs,
            clusters=clusters[one.project_id],
        )
        for one in memberships
    ]


def _granted(project_ids: Iterable[int], *, among: Collection[int] = ()) -> Mapping[int, list[str]]:
    """The names of the clusters that these projects may use, by project; only those `among`, if that is said."""
    grants = Grant.objects.filter(project_id__in=list(project_ids))
    if among:
        grants = grants.filter(cluster_id__in=among)
    found = defaultdict[int, list[str]](list)
    for project_id, name in grants.order_by("cluster__name").values_list("project_id", "cluster__name"):
        found[project_id].append(name)
    return found


def token_of(caller: Caller) -> Credential:
    return Credential.objects.only("expires_at", "reads_only").get(id=caller.credential_id)
