"""The webhooks of projects in the console, and what its pages and those of people show of them alike."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from clusters.admin.forms import ReasonForm, number_from
from clusters.admin.shown import ShownAdmin, log_action, refusals_shown
from clusters.models import Project
from clusters.services.projects import CHANGE_PROJECTS
from jobs.models import Notification, Webhook
from jobs.services.webhooks import MAX_OF_PROJECT, MAX_URL, make_webhook, remove_webhook, resume_webhook
from rainbow.errors import RainbowError

MOST_SHOWN = 1_000
MADE = "The next page shows the secret that signs its messages once and never again."
REMOVED = "Nothing is sent to it any more, nor what it was still to be told."


class WebhookForm(forms.Form):
    url = forms.CharField(
        label="URL",
        max_length=MAX_URL,
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off", "placeholder": "https://"}),
    )
    events = forms.MultipleChoiceField(
        required=False,
        choices=Notification.choices,
        widget=forms.CheckboxSelectMultiple,
        label="It is told that",
        help_text="none chosen: all",
    )


class OperatorsWebhookForm(WebhookForm, ReasonForm):
    field_order = ["url", "events", "reason"]


def shown_webhooks(of: QuerySet[Webhook]) -> Sequence[Any]:
    """The first of them, each with how many messages wait, since when, and what it is told in words."""
    labels = dict(Notification.choices)
    found = of.select_related("project").annotate(waiting=Count("messages"), oldest_at=Min("messages__at"))
    webhooks: list[Any] = list(found.order_by("project__name", "id")[:MOST_SHOWN])
    for webhook in webhooks:
        webhook.told = [labels.get(event, event) for event in webhook.events]
    return webhooks


def made_webhook(form: WebhookForm, project_id: int) -> Webhook | None:
    """None where it is refused, which the form then says."""
    said = form.cleaned_data
    try:
        return make_webhook(project_id=project_id, url=said["url"], events=said["events"], now=timezone.now())
    except RainbowError as error:
        known = error.field in form.fields
        form.add_error(error.field if known else None, error.message if known else str(error))
    return None


@admin.register(Webhook)
class WebhookAdmin(ShownAdmin):
    """Who may change projects sees and changes their webhooks: a URL may be a credential of its receiver."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(CHANGE_PROJECTS)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def may_act(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("new/<int:project_id>/", wrap(self.new_view), name="jobs_webhook_new"),
            path("<int:webhook>/remove/", wrap(self.remove_view), name="jobs_webhook_remove"),
            path("<int:webhook>/resume/", wrap(self.resume_view), name="jobs_webhook_resume"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Those of all projects, or of the `project` of this id."""
        self.check_sees(request)
        project = Project.objects.filter(id=number_from(request.GET.get("project", ""))).first()
        webhooks = Webhook.objects.filter(project=project) if project else Webhook.objects.all()
        context = {
            "project": project,
            "webhooks": shown_webhooks(webhooks),
            "most": MAX_OF_PROJECT,
            "most_shown": MOST_SHOWN,
        }
        title = f"Webhooks of {project}" if project else "Webhooks"
        return self.page(request, "console/webhooks.html", title, **context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """They have no pages of their own: the list of their project's."""
        self.check_sees(request)
        return _list_of(get_object_or_404(Webhook, id=number_from(object_id)).project_id)

    def new_view(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """Shows the secret in this answer only."""
        self.check_may_act(request)
        project = get_object_or_404(Project, id=number_from(str(project_id)))
        form = OperatorsWebhookForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and (webhook := made_webhook(form, project.id)):
            log_action(request, [project], f"made {webhook}: {form.cleaned_data['reason']}")
            title = f"Webhook {webhook.id} of {project}"
            response = self.page(request, "console/new_webhook.html", title, webhook=webhook, project=project)
            add_never_cache_headers(response)
            return response
        return self._ask(request, f"New webhook of {project}", project, form=form, consequence=MADE, button="Make")

    def remove_view(self, request: HttpRequest, webhook: int) -> HttpResponse:
        """Asks on GET and removes on POST."""
        self.check_may_act(request)
        found = _webhook(webhook)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                remove_webhook(webhook_id=found.id)
                log_action(request, [found.project], f"removed {found}: {form.cleaned_data['reason']}")
                messages.success(request, f"Webhook {found.id} is removed.")
            return _list_of(found.project_id)
        title = f"Remove webhook {found.id}"
        return self._ask(request, title, found.project, form=form, consequence=REMOVED, button="Remove", webhook=found)

    def resume_view(self, request: HttpRequest, webhook: int) -> HttpResponse:
        """Switches it on again on POST."""
        self.check_may_act(request)
        found = _webhook(webhook)
        if request.method == "POST":
            with refusals_shown(request):
                resume_webhook(webhook_id=found.id)
                log_action(request, [found.project], f"switched {found} on again")
                messages.success(request, f"Webhook {found.id} is on.")
        return _list_of(found.project_id)

    def _ask(self, request: HttpRequest, title: str, project: Project, /, **context: Any) -> HttpResponse:
        return self.page(request, "console/change_webhook.html", title, project=project, **context)


def _webhook(webhook: int) -> Webhook:
    return get_object_or_404(Webhook.objects.select_related("project"), id=number_from(str(webhook)))


def _list_of(project_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('admin:jobs_webhook_changelist')}?project={project_id}")
