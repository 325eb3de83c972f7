from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from jobs.admin.charts import charts, shares
from jobs.queries.fleet_health import Concern, ConcernKind, Health, concerns, fleet_health
from jobs.states import JobState

# The states of the jobs to which a concern links; the others link to the cluster.
_STATES = {
    ConcernKind.SILENT: JobState.QUEUED,
    ConcernKind.LOST: JobState.LOST,
    ConcernKind.FAILING: JobState.FAILED,
}


def show_dashboard(request: HttpRequest) -> TemplateResponse:
    """Replaces the admin's index for operators who may see clusters and jobs."""
    sees = all(request.user.has_perm(name) for name in ("clusters.view_cluster", "jobs.view_job"))
    secret = settings.RAINBOW_REGISTRATION_SECRET == settings.DEVELOPMENT_SECRET
    shown = dashboard(now=timezone.now(), development_secret=secret, debug=settings.DEBUG) if sees else {}
    context = {**admin.site.each_context(request), "title": "Dashboard", "sees": sees, **shown}
    return TemplateResponse(request, "admin/index.html", context)


def dashboard(*, now: datetime, development_secret: bool, debug: bool) -> dict[str, Any]:
    """The template's context, in a constant number of queries."""
    fleet = fleet_health(now=now)
    clusters = [health for health in fleet if not health.cluster.pool]
    counts = total(fleet)
    found = concerns(fleet=fleet, development_secret=development_secret, debug=debug, now=now)
    return {
        "now": now,
        "fleet": sorted(clusters, key=lambda health: not health.in_trouble),
        "pools": [health for health in fleet if health.cluster.pool],
        "silent": sum(not health.asks for health in clusters),
        "concerns": [(concern, link_of(concern)) for concern in found],
        "shares": shares(counts),
        "jobs": sum(counts.values()),
        "charts": charts(now=now),
    }


def total(fleet: Iterable[Health]) -> dict[JobState, int]:
    counts: Counter[JobState] = Counter()
    for health in fleet:
        counts.update(health.summary.counts)
    return dict(counts)


def link_of(concern: Concern) -> str:
    """The page where the concern can be resolved; empty if there is none."""
    if concern.kind in (ConcernKind.SECRET, ConcernKind.DEBUG, ConcernKind.HELD_BACK):
        return ""
    if concern.kind == ConcernKind.STALLED:
        return reverse("admin:jobs_bulk_action", args=[concern.about])
    if state := _STATES.get(concern.kind):
        return f"{reverse('admin:jobs_job_changelist')}?{urlencode({'state': state.value, 'cluster': concern.about})}"
    return reverse("admin:clusters_cluster_change", args=[concern.about])
