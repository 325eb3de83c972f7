"""Projects as operators see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clusters.models import Holder, Project
from clusters.queries.allowances import Used, used_by


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A project, its members with their roles, and the clusters and pools that it may use, each by name."""

    name: str
    made_at: datetime
    closed_at: datetime | None
    shares_jobs: bool
    members: Sequence[tuple[str, str]]
    clusters: Sequence[str]
    weight: int
    limits: Sequence[Used] = ()


def described_projects(name: str | None = None, *, now: datetime | None = None) -> list[Described]:
    """All, or the one of this name; with their limits if it is said what time it is."""
    projects = Project.objects.all() if name is None else Project.objects.filter(name=name)
    found = projects.order_by("name").prefetch_related("memberships__person", "grants__cluster")
    limits = used_by(Holder.PROJECT, [project.pk for project in found], now=now) if now else {}
    return [_described(project, limits.get(project.pk, ())) for project in found]


def _described(project: Project, limits: Sequence[Used]) -> Described:
    return Described(
        name=project.name,
        made_at=project.made_at,
        closed_at=project.closed_at,
        shares_jobs=project.shares_jobs,
        members=sorted((one.person.get_username(), one.role) for one in project.memberships.all()),
        clusters=sorted(grant.cluster.name for grant in project.grants.all()),
        weight=project.weight,
        limits=limits,
    )
