from collections.abc import Callable
from typing import NamedTuple

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.credential import CredentialActions
from clusters.admin.forms import ReasonForm, number_from
from clusters.admin.shown import operator_of, page_of
from clusters.models import Cluster
from clusters.services.pause import pause_cluster, resume_cluster
from clusters.services.turns import change_turns
from rainbow.errors import RainbowError


def _pause(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    pause_cluster(cluster_id=cluster.id, reason=reason, by=operator_of(request), now=timezone.now())


def _resume(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    resume_cluster(cluster_id=cluster.id, reason=reason, by=operator_of(request), now=timezone.now())


def _begin_turns(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    change_turns(cluster_id=cluster.id, fair=True, reason=reason, by=operator_of(request), now=timezone.now())


def _end_turns(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    change_turns(cluster_id=cluster.id, fair=False, reason=reason, by=operator_of(request), now=timezone.now())


class Verb(NamedTuple):
    apply: Callable[[Cluster, HttpRequest, str], None]
    words: str
    done: str
    consequence: str


VERBS = {
    "pause": Verb(_pause, "Pause", "is paused", "Agents get no jobs of it until it is resumed. Submitting goes on."),
    "resume": Verb(_resume, "Resume", "is resumed", "Agents get its jobs again, also those that are held back."),
    "begin-turns": Verb(
        _begin_turns,
        "Begin turns in",
        "lets submitters take turns",
        "Further jobs go by the turns of those who submit them. Those that wait go first.",
    ),
    "end-turns": Verb(
        _end_turns, "End turns in", "lets jobs go by age", "Further jobs go by their age, after those that wait."
    ),
}


class ClusterActions(CredentialActions):
    """The pages that act. Those that show clusters are in jobs/admin/cluster.py, since they show jobs."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("act/<verb>/", view, name="clusters_cluster_act"), *super().get_urls()]

    def act_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Asks for a reason on GET and acts on POST, on the clusters of the parameters `id`."""
        self.check_may_act(request)
        if verb not in VERBS:
            raise PermissionDenied
        said = request.POST if request.method == "POST" else request.GET
        ids = [number_from(text) for text in said.getlist("id")]
        clusters = list(Cluster.objects.filter(id__in=ids).order_by("name"))
        if not clusters:
            messages.warning(request, "Choose clusters first.")
            return HttpResponseRedirect(reverse("admin:clusters_cluster_changelist"))
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._act(request, verb, clusters, form.cleaned_data["reason"])
            return HttpResponseRedirect(page_of(clusters))
        context = {
            "verb": VERBS[verb].words,
            "clusters": clusters,
            "form": form,
            "consequence": VERBS[verb].consequence,
        }
        return self.page(request, "console/act_on_clusters.html", f"{VERBS[verb].words} clusters", **context)

    def _act(self, request: HttpRequest, verb: str, clusters: list[Cluster], reason: str) -> None:
        """Each in its own transaction, so that one refusal does not affect the others."""
        for cluster in clusters:
            try:
                VERBS[verb].apply(cluster, request, reason)
            except RainbowError as error:
                messages.error(request, f"{cluster}: {error}")
                continue
            messages.success(request, f"{cluster} {VERBS[verb].done}.")
