from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from clusters.admin.forms import NewCredentialForm, ReasonForm, RotateForm
from clusters.admin.shown import ShownAdmin, operator_of, page_of, refusals_shown
from clusters.models import OF_CLUSTERS, Cluster, Credential, CredentialKind
from clusters.services.credentials import NewCredential, create_credential, revoke_credential, rotate_credential


class CredentialActions(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        one = "credential/<int:credential_id>"
        return [
            path("<int:cluster_id>/credential/new/", wrap(self.new_view), name="clusters_credential_new"),
            path(f"{one}/rotate/", wrap(self.rotate_view), name="clusters_credential_rotate"),
            path(f"{one}/revoke/", wrap(self.revoke_view), name="clusters_credential_revoke"),
            *super().get_urls(),
        ]

    def manages_credentials(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("clusters.manage_credential")

    def new_view(self, request: HttpRequest, cluster_id: int) -> HttpResponse:
        """Shows the new value in this answer only."""
        self._check_manages(request)
        cluster = get_object_or_404(Cluster, id=cluster_id)
        form = NewCredentialForm(request.POST if request.method == "POST" else None, pool=cluster.pool)
        if form.is_valid():
            with refusals_shown(request):
                return self.shown_once(request, _made(request, cluster, form))
        context = {"cluster": cluster, "form": form}
        return self.page(request, "console/new_credential.html", f"New credential of {cluster}", **context)

    def rotate_view(self, request: HttpRequest, credential_id: int) -> HttpResponse:
        """Shows the new value in this answer only."""
        credential = self._credential(request, credential_id)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                return self.shown_once(request, _rotated(request, credential, form))
        context = {"credential": credential, "form": form, "verb": "rotate"}
        return self.page(request, "console/act_on_credential.html", f"Rotate {credential}", **context)

    def revoke_view(self, request: HttpRequest, credential_id: int) -> HttpResponse:
        credential = self._credential(request, credential_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            by, reason = operator_of(request), form.cleaned_data["reason"]
            with refusals_shown(request):
                revoke_credential(credential=credential, by=by, reason=reason, now=timezone.now())
                messages.success(request, f"{credential} of {credential.cluster} is revoked.")
            return HttpResponseRedirect(page_of([credential.home]))
        context = {"credential": credential, "form": form, "verb": "revoke"}
        return self.page(request, "console/act_on_credential.html", f"Revoke {credential}", **context)

    def shown_once(self, request: HttpRequest, new: NewCredential) -> HttpResponse:
        response = self.page(request, "console/new_value.html", f"The {new.credential} has a new value", new=new)
        add_never_cache_headers(response)  # no-store among them (RFC 9111, section 5.2.2.5)
        return response

    def _credential(self, request: HttpRequest, credential_id: int) -> Credential:
        self._check_manages(request)
        return get_object_or_404(Credential.objects.select_related("cluster"), id=credential_id, kind__in=OF_CLUSTERS)

    def _check_manages(self, request: HttpRequest) -> None:
        if not self.manages_credentials(request):
            raise PermissionDenied


def _made(request: HttpRequest, cluster: Cluster, form: NewCredentialForm) -> NewCredential:
    now, said = timezone.now(), form.cleaned_data
    return create_credential(
        cluster=cluster,
        kind=CredentialKind(said["kind"]),
        label=said["label"],
        by=operator_of(request),
        reason=said["reason"],
        now=now,
        expires_at=form.expires_at(now),
    )


def _rotated(request: HttpRequest, credential: Credential, form: RotateForm) -> NewCredential:
    return rotate_credential(
        cluster_id=credential.home.id,
        kind=CredentialKind(credential.kind),
        label=credential.label,
        grace=form.grace,
        by=operator_of(request),
        reason=form.cleaned_data["reason"],
        now=timezone.now(),
    )
