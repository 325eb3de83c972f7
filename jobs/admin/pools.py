"""The console's pages that make and change pools. The services that they call are with the jobs."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.forms import BaseFormSet, formset_factory
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone

from clusters.admin.cluster import ClusterActions
from clusters.admin.forms import ReasonForm
from clusters.admin.shown import operator_of, page_of, refusals_shown
from clusters.models import MAX_AFTER_SECONDS, MAX_MEMBERS, Cluster
from jobs.services.pools import Member, change_pool, create_pool, members_of

_BLANK_ROWS = 5
# Names that are proposed; others can be typed.
_PROPOSED = 1_000
_NUMBER = {"inputmode": "numeric"}


class PoolForm(ReasonForm):
    field_order = ["name", "reason"]
    name = forms.CharField(
        max_length=63, widget=forms.TextInput(attrs={"autocomplete": "off"}), help_text="as in the jobs' field cluster"
    )


class MemberForm(forms.Form):
    cluster = forms.CharField(
        required=False,
        max_length=63,
        label="Cluster",
        widget=forms.TextInput(attrs={"list": "clusters", "autocomplete": "off", "size": 16}),
    )
    after_seconds = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_AFTER_SECONDS,
        label="After seconds",
        widget=forms.NumberInput(attrs={**_NUMBER, "placeholder": 0}),
    )


class _Members(BaseFormSet):  # type: ignore[type-arg]  # at run time it takes none
    def add_fields(self, form: MemberForm, index: int | None) -> None:
        """Names the rows for screen readers: they have no labels of their own."""
        super().add_fields(form, index)
        form.fields["ORDER"].widget.attrs.update(_NUMBER)
        for field in form.fields.values():
            field.widget.attrs["aria-label"] = f"{field.label} in row {(index or 0) + 1}"


MemberFormSet = formset_factory(
    MemberForm,
    formset=_Members,
    extra=_BLANK_ROWS,
    can_order=True,
    max_num=MAX_MEMBERS,
    absolute_max=MAX_MEMBERS,
)


class PoolActions(ClusterActions):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("pool/new/", wrap(self.new_pool_view), name="clusters_pool_new"),
            path("<int:pool_id>/members/", wrap(self.members_view), name="clusters_pool_members"),
            *super().get_urls(),
        ]

    def may_make_pools(self, request: HttpRequest) -> bool:
        """The operator who makes a pool is shown its token."""
        return self.may_act(request) and self.manages_credentials(request)

    def new_pool_view(self, request: HttpRequest) -> HttpResponse:
        """Shows the value of the pool's token in this answer only."""
        if not self.may_make_pools(request):
            raise PermissionDenied
        form, rows = _forms(request, PoolForm)
        if form.is_valid() and rows.is_valid():
            said = form.cleaned_data
            with refusals_shown(request):
                new = create_pool(
                    name=said["name"],
                    members=_members(rows),
                    by=operator_of(request),
                    reason=said["reason"],
                    now=timezone.now(),
                )
                return self.shown_once(request, new.token)
        return self._page(request, "New pool", form=form, rows=rows)

    def members_view(self, request: HttpRequest, pool_id: int) -> HttpResponse:
        self.check_may_act(request)
        pool = get_object_or_404(Cluster, id=pool_id, pool=True)
        form, rows = _forms(request, ReasonForm, pool)
        if form.is_valid() and rows.is_valid():
            with refusals_shown(request):
                changed = change_pool(
                    pool_id=pool.id,
                    members=_members(rows),
                    by=operator_of(request),
                    reason=form.cleaned_data["reason"],
                    now=timezone.now(),
                )
                messages.success(request, f"{pool} is changed." if changed else f"{pool} was so before.")
                return HttpResponseRedirect(page_of([pool]))
        return self._page(request, f"Clusters of {pool}", form=form, rows=rows, pool=pool)

    def _page(self, request: HttpRequest, title: str, **context: Any) -> HttpResponse:
        names = Cluster.objects.filter(pool=False).order_by("name").values_list("name", flat=True)
        proposed = list(names[:_PROPOSED])
        return self.page(request, "console/change_pool.html", title, proposed=proposed, **context)


def _forms(
    request: HttpRequest, kind: type[ReasonForm], pool: Cluster | None = None
) -> tuple[ReasonForm, "BaseFormSet[MemberForm]"]:
    """The forms as they are sent, with more blank rows if the button of that name was pressed: then nothing is done."""
    if request.method != "POST":
        return kind(), MemberFormSet(initial=_rows(pool))
    if "more" in request.POST:
        return kind(initial=request.POST.dict()), MemberFormSet(_with_more_rows(request.POST), initial=_rows(pool))
    return kind(request.POST), MemberFormSet(request.POST, initial=_rows(pool))


def _rows(pool: Cluster | None) -> list[dict[str, Any]]:
    members = members_of(pool) if pool else []
    return [{"cluster": one.cluster, "after_seconds": one.after_seconds or None} for one in members]


def _members(rows: "BaseFormSet[MemberForm]") -> list[Member]:
    """In the order of their numbers, without rows that name no cluster; of rows that are valid."""
    said = (row.cleaned_data for row in rows.ordered_forms)
    named = (one for one in said if one["cluster"])
    return [Member(cluster=one["cluster"], after_seconds=one["after_seconds"] or 0) for one in named]


def _with_more_rows(sent: Mapping[str, str]) -> dict[str, str]:
    total = sent.get("form-TOTAL_FORMS", "")
    number = int(total) if total.isascii() and total.isdecimal() and len(total) < 4 else 0
    return {**sent, "form-TOTAL_FORMS": str(min(number + _BLANK_ROWS, MAX_MEMBERS))}
