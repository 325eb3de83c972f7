"""The webhooks of a project, for those who lead it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from clusters.admin.forms import number_from
from clusters.admin.shown import refusals_shown
from clusters.models import Project
from clusters.my.page import for_people, page
from clusters.my.projects import led_project
from jobs.admin.webhooks import MADE, REMOVED, WebhookForm, made_webhook, shown_webhooks
from jobs.models import Webhook
from jobs.services.webhooks import MAX_OF_PROJECT, remove_webhook, resume_webhook


@for_people()
def list_view(request: HttpRequest, name: str) -> HttpResponse:
    project = led_project(request, name)
    webhooks = shown_webhooks(Webhook.objects.filter(project=project))
    return page(request, "webhooks", f"Webhooks of {project}", project=project, webhooks=webhooks, most=MAX_OF_PROJECT)


@for_people("POST")
def new_view(request: HttpRequest, name: str) -> HttpResponse:
    """Shows the secret in this answer only."""
    project = led_project(request, name)
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and (webhook := made_webhook(form, project.id)):
        return page(request, "new_webhook", f"Webhook {webhook.id} of {project}", project=project, webhook=webhook)
    asked = {"project": project, "form": form, "consequence": MADE, "button": "Make"}
    return page(request, "change_webhook", f"New webhook of {project}", **asked)


@for_people("POST")
def remove_view(request: HttpRequest, name: str, webhook: int) -> HttpResponse:
    """Asks on GET and removes on POST."""
    project = led_project(request, name)
    found = _of(project, webhook)
    if request.method == "POST":
        with refusals_shown(request):
            remove_webhook(webhook_id=found.id)
            messages.success(request, f"Webhook {found.id} is removed.")
        return redirect("my-webhooks", name=project.name)
    asked = {"project": project, "webhook": found, "consequence": REMOVED, "button": "Remove"}
    return page(request, "change_webhook", f"Remove webhook {found.id}", **asked)


@for_people("POST")
def resume_view(request: HttpRequest, name: str, webhook: int) -> HttpResponse:
    """Switches it on again on POST."""
    project = led_project(request, name)
    found = _of(project, webhook)
    if request.method == "POST":
        with refusals_shown(request):
            resume_webhook(webhook_id=found.id)
            messages.success(request, f"Webhook {found.id} is on.")
    return redirect("my-webhooks", name=project.name)


def _of(project: Project, webhook: int) -> Webhook:
    """Raises Http404 alike for one that is not there and one of another project."""
    return get_object_or_404(Webhook, project=project, id=number_from(str(webhook)))
