"""Groups of jobs: a list, a page of each, and one that asks before a group is cancelled."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.forms import ReasonForm
from clusters.admin.shown import ShownAdmin, log_action, operator_of, refusals_shown
from jobs.admin.as_person import may_submit_group
from jobs.admin.shown_groups import (
    CONSEQUENCE,
    FINISHED,
    REQUESTED,
    may_cancel,
    shown_group,
    shown_groups,
    title_of_group,
)
from jobs.models import JobGroup
from jobs.services.cancel_group import cancel_group


class Groups(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("groups/", wrap(self.groups_view), name="jobs_groups"),
            path("groups/<int:group_id>/", wrap(self.group_view), name="jobs_group"),
            path("groups/<int:group_id>/cancel/", wrap(self.cancel_group_view), name="jobs_group_cancel"),
            *super().get_urls(),
        ]

    def groups_view(self, request: HttpRequest) -> HttpResponse:
        self.check_sees(request)
        shown = shown_groups(request, operator_of(request))
        return self.page(request, "console/groups.html", "Groups of jobs", **shown)

    def group_view(self, request: HttpRequest, group_id: int) -> HttpResponse:
        self.check_sees(request)
        by = operator_of(request)
        shown = shown_group(by, group_id)
        group = shown["group"]
        may = {
            "may_cancel": self.may_act(request) and may_cancel(by, group),
            "may_submit": may_submit_group(request, group),
        }
        return self.page(request, "console/group.html", title_of_group(group), **may, **shown)

    def cancel_group_view(self, request: HttpRequest, group_id: int) -> HttpResponse:
        """Asks on GET and cancels on POST."""
        self.check_may_act(request)
        by = operator_of(request)
        group = shown_group(by, group_id)["group"]
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            reason = form.cleaned_data["reason"]
            with refusals_shown(request):
                cancel_group(by=by, group_id=group.id, reason=reason, now=timezone.now())
                log_action(request, [JobGroup.objects.get(id=group.id)], f"cancelled: {reason}")
                messages.success(request, REQUESTED)
            return HttpResponseRedirect(reverse("admin:jobs_group", args=[group.id]))
        context = {
            "group": group,
            "form": form,
            "changing": may_cancel(by, group),
            "consequence": CONSEQUENCE,
            "exception": FINISHED,
        }
        return self.page(request, "console/cancel_group.html", f"Cancel group {group.id}", **context)
