"""Projects as operators see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A project, its members with their roles, and the clusters and pools that it may use, each by name."""

    name: str
    made_at: datetime
    closed_at: datetime | None
    shares_jobs: bool
    members: Sequence[tuple[str, str]]
    clusters: Sequence[str]


def described_projects(name: str | None = None) -> list[Described]:
    """All, or the one of this name."""
    projects = Project.objects.all() if name is None else Project.objects.filter(name=name)
    found = projects.order_by("name").prefetch_related("memberships__person", "grants__cluster")
    return [_described(project) for project in found]


def _described(project: Project) -> Described:
    return Described(
        name=project.name,
        made_at=project.made_at,
        closed_at=project.closed_at,
        shares_jobs=project.shares_jobs,
        members=sorted((one.person.get_username(), one.role) for one in project.memberships.all()),
        clusters=sorted(grant.cluster.name for grant in project.grants.all()),
    )
