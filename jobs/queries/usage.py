"""What projects and people used of the clusters, day by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from django.db.models import Q, QuerySet, Sum

from clusters.callers import Caller, Operator
from clusters.models import OF_CLUSTERS
from clusters.validation import check_cluster_name, check_line
from jobs.models import Usage
from jobs.sight import seen_by
from rainbow.errors import InvalidArgument

MAX_DAYS = 366
MAX_NAME = 150
MAX_ROWS = 10_000


class By(StrEnum):
    """What usage is told apart by, in this order."""

    DAY = "day"
    CLUSTER = "cluster"
    PROJECT = "project"
    PERSON = "person"


_COLUMNS = {By.DAY: "day", By.CLUSTER: "cluster__name", By.PROJECT: "project__name", By.PERSON: "owner__username"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The usage of jobs that ended on the days (UTC) from `since` until `until`, both included.

    Only of one cluster, project or person, if it is named.
    """

    since: date
    until: date
    by: Sequence[By] = tuple(By)
    cluster: str = ""
    project: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """None and empty is what the rows are not told apart by, and the project and person of jobs that have none."""

    day: date | None
    cluster: str
    project: str
    person: str
    jobs: int
    node_seconds: int


def usage(asked: Asked, *, seen_as: Caller | Operator) -> list[UsageRow]:
    """In the order of what it is told apart by. A person sees their own, and that of projects whose jobs they see.

    Raises InvalidArgument, also where these would be more than 10,000 rows.
    """
    check_asked(asked)
    by = [one for one in By if one in asked.by]
    found = _seen(seen_as).filter(_matches(asked)).values(*(_COLUMNS[one] for one in by))
    sums = found.annotate(jobs_=Sum("jobs"), node_seconds_=Sum("node_seconds"))
    rows = list(sums.order_by()[: MAX_ROWS + 1])
    if len(rows) > MAX_ROWS:
        raise InvalidArgument(f"gives more than {MAX_ROWS:,} rows; ask for fewer days, or tell less apart", field="by")
    # The databases do not order names alike.
    return sorted(map(_row, rows), key=lambda row: (row.day or date.min, row.cluster, row.project, row.person))


def check_asked(asked: Asked) -> None:
    """Raises InvalidArgument."""
    if asked.since > asked.until:
        raise InvalidArgument("must not be before since", field="until")
    if (asked.until - asked.since).days >= MAX_DAYS:
        raise InvalidArgument(f"must be less than {MAX_DAYS} days after since", field="until")
    if not asked.by:
        raise InvalidArgument(f"must name at least one of {', '.join(By)}", field="by")
    if asked.cluster:
        check_cluster_name(asked.cluster, field="cluster")
    check_line(asked.project, field="project", longest=MAX_NAME)
    check_line(asked.person, field="person", longest=MAX_NAME)


def _seen(by: Caller | Operator) -> QuerySet[Usage]:
    if isinstance(by, Operator):
        return Usage.objects.all()
    if by.kind in OF_CLUSTERS:
        return Usage.objects.none()
    sight = seen_by(by)
    owned = Q(pk__in=())
    for column, value in sight.owners:
        owned |= Q(**{column: value})
    narrowed = Q(project_id=sight.project_id) if sight.project_id else Q()
    if sight.cluster_ids:
        narrowed &= Q(cluster_id__in=sight.cluster_ids)
    return Usage.objects.filter(owned & narrowed)


def _matches(asked: Asked) -> Q:
    matches = Q(day__range=(asked.since, asked.until))
    for column, name in (
        ("cluster__name", asked.cluster),
        ("project__name", asked.project),
        ("owner__username", asked.person),
    ):
        if name:
            matches &= Q(**{column: name})
    return matches


def _row(row: dict[str, object]) -> UsageRow:
    day, cluster, project, person = (row.get(_COLUMNS[one]) for one in By)
    return UsageRow(
        day=day if isinstance(day, date) else None,
        cluster=str(cluster or ""),
        project=str(project or ""),
        person=str(person or ""),
        jobs=int(str(row["jobs_"])),
        node_seconds=int(str(row["node_seconds_"])),
    )
