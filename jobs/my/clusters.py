"""The clusters and pools that a person may use, and how long their queues are."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from clusters.callers import Caller
from clusters.my.page import for_people, me, page
from clusters.queries.people import projects_of
from jobs.admin.charts import charts, shares
from jobs.admin.facts import facts_shown
from jobs.queries.clusters import Reached, clusters_in_reach
from jobs.queries.pools import members_by_pool
from jobs.queries.warnings import asks
from rainbow.errors import Unauthenticated


@for_people()
def list_view(request: HttpRequest) -> HttpResponse:
    by, now = me(request), timezone.now()
    projects = _projects_by_cluster(by)
    rows = [(one, asks(one.last_asked_at, now=now), projects[one.cluster.name]) for one in _in_reach(by)]
    return page(request, "clusters", "My clusters and pools", rows=rows)


@for_people()
def cluster_view(request: HttpRequest, name: str) -> HttpResponse:
    """Answers alike for one that is not there and one that is out of reach."""
    try:
        by = me(request, cluster=name)
    except Unauthenticated:
        raise Http404 from None
    reached = next(one for one in _in_reach(by) if one.cluster.id == by.cluster_id)
    context = {
        "reached": reached,
        "asks": asks(reached.last_asked_at, now=timezone.now()),
        "projects": _projects_by_cluster(by)[name],
        "shares": shares(reached.summary.counts),
        **(_of_pool(reached) if reached.cluster.pool else _of_cluster(reached)),
    }
    return page(request, "cluster", name, **context)


def _in_reach(by: Caller) -> list[Reached]:
    return clusters_in_reach(by=by, now=timezone.now())


def _of_pool(reached: Reached) -> dict[str, Any]:
    members = members_by_pool([reached.cluster.id])[reached.cluster.id]
    now = timezone.now()
    return {"members": [(one, asks(one.cluster.last_asked_at, now=now)) for one in members]}


def _of_cluster(reached: Reached) -> dict[str, Any]:
    cluster = reached.cluster
    return {"cluster": cluster, "charts": charts(now=timezone.now(), cluster_id=cluster.id), **facts_shown(cluster)}


def _projects_by_cluster(by: Caller) -> Mapping[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for project in projects_of(by):
        for name in project.clusters:
            found[name].append(project.name)
    return found
