"""A person's projects, which their leads look after."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone

from clusters.admin.forms import MemberForm, NewTokenForm
from clusters.admin.shown import operator_of
from clusters.models import CredentialKind, Membership, Project, Role
from clusters.my.forms import WhyForm
from clusters.my.page import for_people, page
from clusters.my.tokens import change_by, revoked, say_in, shown_once
from clusters.queries.people import projects_of_person
from clusters.queries.projects import described_projects
from clusters.services.personal_tokens import create_project_token
from clusters.services.projects import add_member, remove_member, tokens_of
from rainbow.errors import RainbowError

_EVENTS = 30


@for_people()
def list_view(request: HttpRequest) -> HttpResponse:
    projects = projects_of_person(operator_of(request).user_id)
    return page(request, "projects", "My projects", projects=projects)


@for_people()
def project_view(request: HttpRequest, name: str) -> HttpResponse:
    membership = _membership(request, name)
    leads = membership.role == Role.LEAD
    project = membership.project
    context = {
        "project": described_projects(project.name, now=timezone.now())[0],
        "leads": leads,
        "form": MemberForm() if leads else None,
        "tokens": tokens_of(project, now=timezone.now()) if leads else [],
        "events": project.events.select_related("by").order_by("-id")[:_EVENTS] if leads else [],
    }
    return page(request, "project", project.name, **context)


@for_people("POST")
def add_view(request: HttpRequest, name: str) -> HttpResponse:
    project, form = led_project(request, name), MemberForm(request.POST)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            add_member(project_id=project.id, person=said["person"], role=Role(said["role"]), change=change_by(request))
            messages.success(request, f"{said['person']} is in {project} as {said['role']}.")
        except RainbowError as error:
            messages.error(request, str(error))
    elif request.method == "POST":
        messages.error(request, "Say who, and whether as member or lead.")
    return redirect("my-project", name=project.name)


@for_people("POST")
def remove_view(request: HttpRequest, name: str) -> HttpResponse:
    """Asks on GET and removes on POST, the person of the parameter `person`."""
    project = led_project(request, name)
    person = (request.POST if request.method == "POST" else request.GET).get("person", "")
    if person not in dict(described_projects(project.name)[0].members):
        raise Http404
    form = WhyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            remove_member(project_id=project.id, person=person, change=change_by(request, form.cleaned_data["reason"]))
            messages.success(request, f"{person} is no longer in {project}.")
        except RainbowError as error:
            messages.error(request, str(error))
        own = person == request.user.get_username()
        return redirect("my-projects") if own else redirect("my-project", name=project.name)
    title = f"Remove {person} from {project}"
    return page(request, "remove_member", title, form=form, project=project, person=person)


@for_people("POST")
def new_token_view(request: HttpRequest, name: str) -> HttpResponse:
    """Shows the value in this answer only."""
    project = led_project(request, name)
    clusters = project.grants.order_by("cluster__name").values_list("cluster__name", flat=True)
    form = NewTokenForm(request.POST if request.method == "POST" else None, clusters=list(clusters))
    if form.is_valid():
        try:
            new = create_project_token(project_id=project.id, wish=form.wish, change=change_by(request))
            return shown_once(request, new, name=project.name)
        except RainbowError as error:
            say_in(form, error)
    return page(request, "new_token", f"New token of {project}", form=form, name=project.name)


@for_people("POST")
def revoke_token_view(request: HttpRequest, name: str, token_id: int) -> HttpResponse:
    project = led_project(request, name)
    token = get_object_or_404(project.tokens, kind=CredentialKind.PROJECT, id=token_id, revoked_at__isnull=True)
    return revoked(request, token, back="my-project", name=project.name)


def _membership(request: HttpRequest, name: str) -> Membership:
    """Raises Http404 alike for a project that is not there, is closed, or is another's."""
    mine = Membership.objects.filter(person_id=operator_of(request).user_id).select_related("project")
    return get_object_or_404(mine, project__name=name, project__closed_at__isnull=True)


def led_project(request: HttpRequest, name: str) -> Project:
    """Raises PermissionDenied for a member who is no lead, and Http404."""
    membership = _membership(request, name)
    if membership.role != Role.LEAD:
        raise PermissionDenied
    return membership.project
