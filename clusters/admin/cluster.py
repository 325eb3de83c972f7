"""Acting on clusters: hold them back, let them go on, replace and withdraw their credentials."""

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from clusters.admin.shown import ShownAdmin, log_act, operator_of, refusals_shown
from clusters.forms import ReasonForm, RotateForm, number_from
from clusters.models import Cluster, Credential, CredentialKind
from clusters.services import pause_cluster, resume_cluster, revoke_credential, rotate_credential
from rainbow.errors import RainbowError


def _pause(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    pause_cluster(cluster_id=cluster.id, reason=reason, by=operator_of(request).name, now=timezone.now())


def _resume(cluster: Cluster, request: HttpRequest, reason: str) -> None:
    resume_cluster(cluster_id=cluster.id)


Verb = Callable[[Cluster, HttpRequest, str], None]
VERBS: dict[str, tuple[Verb, str, str]] = {
    "pause": (_pause, "paused", "Its agent gets no jobs until it is resumed. Submitting goes on."),
    "resume": (_resume, "resumed", "Its agent gets jobs again."),
}


class ClusterActs(ShownAdmin):
    """The pages that act. What a cluster looks like is in jobs/admin/cluster.py, for that takes its jobs."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("act/<verb>/", wrap(self.act_view), name="clusters_cluster_act"),
            path("credential/<int:credential_id>/rotate/", wrap(self.rotate_view), name="clusters_credential_rotate"),
            path("credential/<int:credential_id>/revoke/", wrap(self.revoke_view), name="clusters_credential_revoke"),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest, verb: str) -> HttpResponse:
        """Asks for a reason on GET and does it on POST, to the clusters of the parameters `id`."""
        self.check_acts(request)
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
            return HttpResponseRedirect(_page_of(clusters))
        context = {"verb": verb, "clusters": clusters, "form": form, "consequence": VERBS[verb][2]}
        return self.page(request, "room/act_on_clusters.html", f"{verb.capitalize()} clusters", **context)

    def _act(self, request: HttpRequest, verb: str, clusters: list[Cluster], reason: str) -> None:
        """Each on its own, so that one that cannot be does not keep the others from it."""
        act, done, _ = VERBS[verb]
        for cluster in clusters:
            try:
                act(cluster, request, reason)
            except RainbowError as error:
                messages.error(request, f"{cluster}: {error}")
                continue
            log_act(request, [cluster], f"{done}: {reason}")
            messages.success(request, f"{cluster} is {done}.")

    def rotate_view(self, request: HttpRequest, credential_id: int) -> HttpResponse:
        """Gives a credential a new value, which stands on the answer and nowhere else."""
        credential = self._credential(request, credential_id)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                return self._rotated(request, credential, form)
        context = {"credential": credential, "form": form, "verb": "rotate"}
        return self.page(request, "room/act_on_credential.html", f"Rotate {credential}", **context)

    def _rotated(self, request: HttpRequest, credential: Credential, form: RotateForm) -> HttpResponse:
        new = rotate_credential(
            cluster_id=credential.cluster_id,
            kind=CredentialKind(credential.kind),
            label=credential.label,
            grace=form.grace,
            now=timezone.now(),
        )
        log_act(request, [credential.cluster], f"rotated {credential}: {form.cleaned_data['reason']}")
        response = self.page(request, "room/rotated.html", f"The {credential} has a new value", new=new)
        add_never_cache_headers(response)  # no-store among them (RFC 9111, section 5.2.2.5)
        return response

    def revoke_view(self, request: HttpRequest, credential_id: int) -> HttpResponse:
        credential = self._credential(request, credential_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                revoke_credential(credential=credential, now=timezone.now())
                log_act(request, [credential.cluster], f"revoked {credential}: {form.cleaned_data['reason']}")
                messages.success(request, f"{credential} of {credential.cluster} is revoked.")
            return HttpResponseRedirect(_page_of([credential.cluster]))
        context = {"credential": credential, "form": form, "verb": "revoke"}
        return self.page(request, "room/act_on_credential.html", f"Revoke {credential}", **context)

    def _credential(self, request: HttpRequest, credential_id: int) -> Credential:
        self.check_acts(request)
        if not request.user.has_perm("clusters.change_credential"):
            raise PermissionDenied
        return get_object_or_404(Credential.objects.select_related("cluster"), id=credential_id)


def _page_of(clusters: list[Cluster]) -> str:
    if len(clusters) == 1:
        return reverse("admin:clusters_cluster_change", args=[clusters[0].id])
    return reverse("admin:clusters_cluster_changelist")
