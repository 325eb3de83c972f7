"""The console's pages of projects."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from clusters.admin.forms import ReasonForm, number_from
from clusters.admin.project_forms import VERBS, NewProjectForm, ProjectTokenForm, Verb
from clusters.admin.shown import ShownAdmin, log_action, operator_of, refusals_shown
from clusters.models import Holder, Project
from clusters.queries.allowances import used_by
from clusters.queries.projects import described_projects
from clusters.services.personal_tokens import create_project_token, revoke_token
from clusters.services.projects import Change, create_project, tokens_of

_EVENTS = 50


@admin.register(Project)
class ProjectAdmin(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        one = "<int:project_id>"
        return [
            path("new/", wrap(self.new_view), name="clusters_project_new"),
            path(f"{one}/act/<verb>/", wrap(self.act_view), name="clusters_project_act"),
            path(f"{one}/token/new/", wrap(self.new_token_view), name="clusters_project_token_new"),
            path(
                f"{one}/token/<int:token_id>/revoke/",
                wrap(self.revoke_token_view),
                name="clusters_project_token_revoke",
            ),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.check_sees(request)
        ids = dict(Project.objects.values_list("name", "id"))
        rows = [(ids.get(one.name), one) for one in described_projects()]
        return self.page(request, "console/projects.html", "Projects", rows=rows)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Named change_view because the admin's log links to it."""
        self.check_sees(request)
        project = get_object_or_404(Project, id=number_from(object_id))
        context = {
            "project": project,
            "memberships": project.memberships.select_related("person").order_by("person__username"),
            "grants": project.grants.select_related("cluster").defer("cluster__facts").order_by("cluster__name"),
            "tokens": tokens_of(project, now=timezone.now()),
            "limits": used_by(Holder.PROJECT, [project.id], now=timezone.now())[project.id],
            "events": project.events.select_related("by").order_by("-id")[:_EVENTS],
        }
        return self.page(request, "console/project.html", project.name, **context)

    def new_view(self, request: HttpRequest) -> HttpResponse:
        self.check_may_act(request)
        form = NewProjectForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            said = form.cleaned_data
            with refusals_shown(request):
                change = _change(request, said["reason"])
                project = create_project(name=said["name"], shares_jobs=said["shares_jobs"], change=change)
                log_action(request, [project], f"made: {said['reason']}")
                return _page_of(project)
        consequence = "It may use no cluster until it is granted one, and has no members until they are added."
        return self._ask(request, "New project", form=form, consequence=consequence, button="Make")

    def act_view(self, request: HttpRequest, project_id: int, verb: str) -> HttpResponse:
        """Asks on GET, with what the query string says already, and acts on POST."""
        self.check_may_act(request)
        if verb not in VERBS:
            raise PermissionDenied
        project, deed = _project(project_id), VERBS[verb]
        form = deed.form(request.POST) if request.method == "POST" else deed.form(initial=request.GET.dict())
        if form.is_valid():
            with refusals_shown(request):
                _act(request, project, deed, form)
                return _page_of(project)
        title = f"{deed.title}: {project}"
        return self._ask(request, title, form=form, consequence=deed.consequence, button=deed.title, project=project)

    def new_token_view(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """Shows the value in this answer only."""
        self.check_may_act(request)
        project = _project(project_id)
        clusters = project.grants.order_by("cluster__name").values_list("cluster__name", flat=True)
        form = ProjectTokenForm(request.POST if request.method == "POST" else None, clusters=list(clusters))
        if form.is_valid():
            with refusals_shown(request):
                change = _change(request, form.cleaned_data["reason"])
                new = create_project_token(project_id=project.id, wish=form.wish, change=change)
                log_action(request, [project], f"made {new.credential}: {change.reason}")
                title = f"The token {new.credential.label} of {project}"
                response = self.page(request, "console/new_project_token.html", title, new=new, project=project)
                add_never_cache_headers(response)
                return response
        consequence = "Its holder submits to what the project may use, and sees and cancels all of its jobs. The next "
        consequence += "page shows the value once and never again. What is done with it leads back to you."
        title = f"New token of {project}"
        return self._ask(request, title, form=form, consequence=consequence, button="Make", project=project)

    def revoke_token_view(self, request: HttpRequest, project_id: int, token_id: int) -> HttpResponse:
        self.check_may_act(request)
        project = _project(project_id)
        token = get_object_or_404(project.tokens.select_related("person", "project"), id=token_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                change = _change(request, form.cleaned_data["reason"])
                revoke_token(credential_id=token.id, change=change)
                log_action(request, [project], f"revoked {token}: {change.reason}")
                messages.success(request, f"{token} is revoked.")
            return _page_of(project)
        consequence = "What is done with it is refused from now on, for good. Submitted jobs stay."
        title = f"Revoke {token}"
        return self._ask(request, title, form=form, consequence=consequence, button="Revoke", project=project)

    def _ask(self, request: HttpRequest, title: str, **context: Any) -> HttpResponse:
        return self.page(request, "console/change_project.html", title, **context)


def _act(request: HttpRequest, project: Project, deed: Verb, form: ReasonForm) -> None:
    said = form.cleaned_data
    changed = deed.apply(project.id, said, _change(request, said["reason"]))
    done = deed.done.format(**said)
    if changed is False:
        messages.warning(request, f"{project} was so before.")
        return
    log_action(request, [project], f"{done}: {said['reason']}")
    messages.success(request, f"{project}: {done}.")


def _change(request: HttpRequest, reason: str) -> Change:
    return Change(by=operator_of(request), now=timezone.now(), reason=reason)


def _project(project_id: int) -> Project:
    return get_object_or_404(Project, id=number_from(str(project_id)))


def _page_of(project: Project) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:clusters_project_change", args=[project.id]))
