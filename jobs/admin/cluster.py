"""The console's pages of clusters. They are with the jobs since they show jobs, of which clusters know nothing."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from clusters.admin.forms import number_from
from clusters.admin.shown import operator_of
from clusters.models import Cluster
from clusters.services.events import list_events
from clusters.services.streaks import held_back
from jobs.admin.charts import charts, shares
from jobs.admin.dashboard import link_of
from jobs.admin.facts import facts_shown
from jobs.admin.pools import PoolActions
from jobs.models import Job, JobEvent
from jobs.queries.fleet_health import Health, concerns_of, fleet_health
from jobs.queries.lookup import list_jobs
from jobs.queries.search import Search
from jobs.queries.waiting_queues import waiting_queues
from jobs.queries.warnings import asks
from jobs.states import JobState

_HEAD_OF_QUEUE = 10
_EVENTS = 12
_DEAD_CREDENTIALS = 50
# Job events have no index by cluster: this many of the newest are scanned.
_EVENTS_LOOKED_THROUGH = 2_000
_SHOW = {"": "all", "silent": "silent", "paused": "paused", "waiting": "with jobs waiting", "trouble": "in trouble"}


@admin.register(Cluster)
class ClusterAdmin(PoolActions):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.check_sees(request)
        fleet = fleet_health(now=timezone.now())
        show, text = request.GET.get("show", ""), request.GET.get("text", "")
        found = [health for health in fleet if _is(health, show) and text.lower() in health.cluster.name.lower()]
        context = {
            "fleet": [health for health in found if not health.cluster.pool],
            "of": sum(not health.cluster.pool for health in fleet),
            "pools": [health for health in found if health.cluster.pool],
            "may_make_pools": self.may_make_pools(request),
            "show": show,
            "text": text,
            "shows": _SHOW,
        }
        return self.page(request, "console/clusters.html", "Clusters", **context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Named change_view because the admin's log links to it."""
        self.check_sees(request)
        cluster = get_object_or_404(Cluster, id=number_from(object_id))
        now = timezone.now()
        health = fleet_health(now=now, clusters=[cluster])[0]
        context = {
            "health": health,
            "concerns": [(concern, link_of(concern)) for concern in concerns_of(health)],
            "shares": shares(health.summary.counts),
            # What becomes of a pool's jobs is activity of the clusters that take them.
            "charts": [] if cluster.pool else charts(now=now, cluster_id=cluster.id),
            "queue": _head_of_queue(request, cluster),
            "waiting": waiting_queues(cluster_id=cluster.id),
            "events": _recent_events(cluster),
            "operator_log": _operator_log(cluster),
            "cluster_log": list_events(cluster_id=cluster.id, most=_EVENTS, of_operators=False),
            **facts_shown(cluster),
            **_pools(health),
            **self._credentials(request, cluster),
        }
        return self.page(request, "console/cluster.html", cluster.name, **context)

    def _credentials(self, request: HttpRequest, cluster: Cluster) -> dict[str, Any]:
        if not request.user.has_perm("clusters.view_credential"):
            return {}
        now = timezone.now()
        live = cluster.credentials.live(now)
        dead = cluster.credentials.exclude(id__in=live).order_by("-id")
        return {
            "credentials": live.select_related("issued_by").order_by("kind", "label", "id"),
            "dead_credentials": dead.select_related("issued_by")[:_DEAD_CREDENTIALS],
            "may_act_on_credentials": self.manages_credentials(request),
        }


def _is(health: Health, show: str) -> bool:
    return {
        "silent": not health.asks,
        "paused": health.cluster.paused_at is not None,
        "waiting": health.waiting > 0,
        "trouble": health.in_trouble,
    }.get(show, True)


def _pools(health: Health) -> dict[str, Any]:
    """The clusters of a pool, whether each asks and which of its tokens it holds back; or the pools of a cluster."""
    cluster = health.cluster
    if not cluster.pool:
        return {"memberships": list(cluster.memberships.select_related("pool").order_by("pool__name"))}
    of_members = held_back(cluster_ids=[member.cluster_id for member in health.members])
    held = [one for one in of_members if one.credential.cluster_id == cluster.id]
    return {
        "members": [
            (
                member,
                asks(member.cluster.last_asked_at, now=health.now),
                [one for one in held if one.cluster_id == member.cluster_id],
            )
            for member in health.members
        ]
    }


def _head_of_queue(request: HttpRequest, cluster: Cluster) -> Any:
    search = Search(states=[JobState.QUEUED], cluster_id=cluster.id, oldest_first=True, size=_HEAD_OF_QUEUE)
    return list_jobs(by=operator_of(request), search=search)


def _recent_events(cluster: Cluster) -> list[JobEvent]:
    last = JobEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    # A subquery: with a join SQLite would start from all of the cluster's jobs.
    its_cluster = Subquery(Job.objects.filter(id=OuterRef("job_id")).values("cluster_id")[:1])
    newest = JobEvent.objects.filter(id__gt=last - _EVENTS_LOOKED_THROUGH)
    recent = newest.alias(its_cluster=its_cluster).filter(its_cluster=cluster.id)
    whole = recent.select_related("job", "credential__person", "credential__project", "operator")
    brief = whole.defer("job__output", "job__command")
    return list(brief.order_by("-id")[:_EVENTS])


def _operator_log(cluster: Cluster) -> list[LogEntry]:
    kind = ContentType.objects.get_for_model(Cluster)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(cluster.id)).select_related("user")
    return list(entries.order_by("-action_time")[:_EVENTS])
