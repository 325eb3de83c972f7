"""The console's pages of people: Django's, and one that shows what a person reaches."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.admin.forms import ReasonForm, number_from
from clusters.admin.shown import log_action, operator_of, refusals_shown
from clusters.models import Credential, Holder
from clusters.queries.allowances import used_by
from clusters.services.people import CHANGE_PEOPLE, set_active
from clusters.services.personal_tokens import revoke_token, tokens_of_person
from clusters.services.projects import CHANGE_PROJECTS, Change
from clusters.services.withdrawals import note_account
from clusters.visible import visible

admin.site.unregister(User)


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]  # at run time it takes none
    list_display = ("username", "overview", "projects", "is_active", "is_staff", "last_login")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Django's form may disable a person, too."""
        super().save_model(request, obj, form, change)
        note_account(obj, now=timezone.now())

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """People are disabled: what they did names them. Django's page would list each job and event of theirs."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("memberships__project")

    @admin.display(description="What they reach")
    def overview(self, person: User) -> SafeString:
        return format_html('<a href="{}">{}…</a>', _address_of(person.pk), person.get_username())

    @admin.display(description="Projects")
    def projects(self, person: User) -> str:
        return ", ".join(sorted(one.project.name for one in person.memberships.all())) or "-"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        one = "<int:person_id>/person"
        return [
            path(f"{one}/", wrap(self.person_view), name="auth_user_person"),
            path(f"{one}/act/<verb>/", wrap(self.act_view), name="auth_user_act"),
            path(f"{one}/token/<int:token_id>/revoke/", wrap(self.revoke_view), name="auth_user_token_revoke"),
            *super().get_urls(),
        ]

    def person_view(self, request: HttpRequest, person_id: int) -> HttpResponse:
        person = self._person(request, person_id)
        context = {
            "memberships": person.memberships.select_related("project").order_by("project__name"),
            "tokens": tokens_of_person(person.pk, now=timezone.now()),
            "limits": used_by(Holder.PERSON, [person.pk], now=timezone.now())[person.pk],
            "may_revoke": request.user.has_perm(CHANGE_PROJECTS),
            "may_act": request.user.has_perm(CHANGE_PEOPLE),
        }
        return self._page(request, "person", person.get_username(), person, **context)

    def act_view(self, request: HttpRequest, person_id: int, verb: str) -> HttpResponse:
        """Disables a person, or lets them in again."""
        person = self._person(request, person_id)
        if verb not in ("disable", "enable") or not request.user.has_perm(CHANGE_PEOPLE):
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                change = Change(by=operator_of(request), now=timezone.now(), reason=form.cleaned_data["reason"])
                changed = set_active(person_id=person.pk, active=verb == "enable", change=change)
                messages.success(request, f"{person} {'is' if changed else 'was before'} {verb}d.")
            return HttpResponseRedirect(_address_of(person.pk))
        consequence = "At once no session and no token of theirs works. Their jobs that wait are soon cancelled; those "
        consequence += "that run go on."
        if verb == "enable":
            consequence = "They may sign in, and those of their tokens that have not ended work again."
        title = f"{verb.capitalize()} {person}"
        return self._page(request, "act_on_person", title, person, form=form, consequence=consequence, button=title)

    def revoke_view(self, request: HttpRequest, person_id: int, token_id: int) -> HttpResponse:
        person = self._person(request, person_id)
        if not request.user.has_perm(CHANGE_PROJECTS):
            raise PermissionDenied
        token = get_object_or_404(Credential.objects.select_related("person"), id=token_id, person=person)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                change = Change(by=operator_of(request), now=timezone.now(), reason=form.cleaned_data["reason"])
                revoke_token(credential_id=token.id, change=change)
                log_action(request, [person], f"revoked the token {token.label}: {change.reason}")
                messages.success(request, f"The token {token.label} is revoked.")
            return HttpResponseRedirect(_address_of(person.pk))
        consequence = "What is done with it is refused from now on, for good. Submitted jobs stay."
        title = f"Revoke {token}"
        return self._page(request, "act_on_person", title, person, form=form, consequence=consequence, button="Revoke")

    def _person(self, request: HttpRequest, person_id: int) -> User:
        """Raises PermissionDenied and Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(User, id=number_from(str(person_id)))

    def _page(self, request: HttpRequest, name: str, title: str, person: User, **context: Any) -> HttpResponse:
        everywhere = {**self.admin_site.each_context(request), "opts": self.opts, "person": person}
        context = {**everywhere, "title": visible(title), **context}
        return TemplateResponse(request, f"console/{name}.html", context)


def _address_of(person_id: int) -> str:
    return reverse("admin:auth_user_person", args=[person_id])
