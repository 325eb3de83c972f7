from collections.abc import Callable

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
from rainbow.errors import RainbowError


def _pause(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    pause_cluster(cluster_id=cluster.id, reason=reason, by=operator_of(request), now=timezone.now())


def _resume(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    resume_cluster(cluster_id=cluster.id, reason=reason, by=operator_of(request), now=timezone.now())


Verb = Callable[[Cluster, HttpRequest, str], None]
VERBS: dict[str, tuple[Verb, str, str]] = {
    "pause": (_pause, "paused", "Agents get no jobs of it until it is resumed. Submitting goes on."),
    "resume": (_resume, "resumed", "Agents get its jobs again, also those that are held back."),
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
            messages.warning(request, f"Choose the clusters to {verb} first.")
            return HttpResponseRedirect(reverse("admin:clusters_cluster_changelist"))
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            self._act(request, verb, clusters, form.cleaned_data["reason"])
            return HttpResponseRedirect(page_of(clusters))
        context = {"verb": verb, "clusters": clusters, "form": form, "consequence": VERBS[verb][2]}
        return self.page(request, "console/act_on_clusters.html", f"{verb.capitalize()} clusters", **context)

    def _act(self, request: HttpRequest, verb: str, clusters: list[Cluster], reason: str) -> None:
        """Each in its own transaction, so that one refusal does not affect the others."""
        apply, done, _ = VERBS[verb]
        for cluster in clusters:
            try:
                apply(cluster, request, reason)
            except RainbowError as error:
                messages.error(request, f"{cluster}: {error}")
                continue
            messages.success(request, f"{cluster} is {done}.")
