"""A person's groups of jobs, and those of their projects that they see."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from clusters.admin.shown import refusals_shown
from clusters.my.forms import WhyForm
from clusters.my.page import for_people, me, page
from jobs.admin.shown_groups import (
    CONSEQUENCE,
    FINISHED,
    REQUESTED,
    may_cancel,
    shown_group,
    shown_groups,
    title_of_group,
)
from jobs.queries.groups import own_groups
from jobs.services.cancel_group import cancel_group


@for_people()
def list_view(request: HttpRequest) -> HttpResponse:
    return page(request, "groups", "My groups of jobs", **shown_groups(request, me(request)))


@for_people()
def group_view(request: HttpRequest, group_id: int) -> HttpResponse:
    by = me(request)
    shown = shown_group(by, group_id)
    group = shown["group"]
    may = {"may_cancel": may_cancel(by, group), "may_submit": bool(by.projects and group.failures)}
    return page(request, "group", title_of_group(group), **may, **shown)


@for_people("POST")
def cancel_view(request: HttpRequest, group_id: int) -> HttpResponse:
    """Asks on GET and cancels on POST. Answers alike for a group that is not there and one that is another's."""
    by = me(request)
    group = shown_group(by, group_id)["group"]
    if not own_groups(by).filter(id=group.id).exists():
        raise Http404
    form = WhyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with refusals_shown(request):
            cancel_group(by=by, group_id=group.id, reason=form.cleaned_data["reason"], now=timezone.now())
            messages.success(request, REQUESTED)
        return redirect("my-group", group.id)
    context = {
        "group": group,
        "form": form,
        "changing": may_cancel(by, group),
        "consequence": CONSEQUENCE,
        "exception": FINISHED,
    }
    return page(request, "cancel_group", f"Cancel group {group.id}", **context)
