from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from clusters.callers import Operator
from clusters.models import Cluster
from clusters.visible import visible
from rainbow.errors import RainbowError
from rainbow.telemetry.request_ids import request_id_of


class ShownAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # at run time it takes none
    """An admin that shows rows and acts on them through the services; rows are never edited by hand.

    The permission to change a model is the permission to act on it.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.view_{self.opts.model_name}")

    def may_act(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    def check_sees(self, request: HttpRequest) -> None:
        """Raises PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied

    def check_may_act(self, request: HttpRequest) -> None:
        """Raises PermissionDenied."""
        if not (self.has_view_permission(request) and self.may_act(request)):
            raise PermissionDenied

    def page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        everywhere = {**self.admin_site.each_context(request), "opts": self.opts, "may_act": self.may_act(request)}
        return TemplateResponse(request, template, {**everywhere, "title": visible(title), **context})


def operator_of(request: HttpRequest) -> Operator:
    assert isinstance(request.user, User)
    return Operator(user_id=request.user.pk, name=request.user.get_username(), request_id=request_id_of(request))


def page_of(clusters: Sequence[Cluster]) -> str:
    """The page of the cluster, or the list for several."""
    if len(clusters) == 1:
        return reverse("admin:clusters_cluster_change", args=[clusters[0].id])
    return reverse("admin:clusters_cluster_changelist")


def log_action(request: HttpRequest, rows: list[models.Model], message: str) -> None:
    LogEntry.objects.log_actions(
        user_id=operator_of(request).user_id, queryset=rows, action_flag=CHANGE, change_message=message
    )


@contextmanager
def refusals_shown(request: HttpRequest) -> Iterator[None]:
    """One transaction, rolled back when a service refuses; the refusal is shown as a message."""
    try:
        with transaction.atomic():
            yield
    except RainbowError as error:
        messages.error(request, str(error))
