"""A person's tokens."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clusters.admin.forms import NewTokenForm
from clusters.admin.shown import operator_of
from clusters.models import Credential, CredentialKind
from clusters.my.forms import MyTokenForm, WhyForm
from clusters.my.page import for_people, page
from clusters.queries.people import projects_of_person
from clusters.services.credentials import NewCredential
from clusters.services.personal_tokens import MAX_TOKENS, create_personal_token, revoke_token, tokens_of_person
from clusters.services.projects import Change
from rainbow.errors import RainbowError


@for_people()
def list_view(request: HttpRequest) -> HttpResponse:
    tokens = tokens_of_person(operator_of(request).user_id, now=timezone.now())
    return page(request, "tokens", "My tokens", tokens=tokens, most=MAX_TOKENS)


@for_people("POST")
def new_view(request: HttpRequest) -> HttpResponse:
    """Shows the value in this answer only."""
    projects = projects_of_person(operator_of(request).user_id)
    form = MyTokenForm(
        request.POST if request.method == "POST" else None,
        clusters=sorted({name for one in projects for name in one.clusters}),
        projects=[one.name for one in projects],
    )
    if form.is_valid() and (new := _made(request, form)):
        return shown_once(request, new)
    return page(request, "new_token", "New token", form=form)


def _made(request: HttpRequest, form: MyTokenForm) -> NewCredential | None:
    """None where it is refused, which the page then says."""
    try:
        return create_personal_token(wish=form.wish, project=form.cleaned_data["project"], change=change_by(request))
    except RainbowError as error:
        say_in(form, error)
    return None


@for_people("POST")
def revoke_view(request: HttpRequest, token_id: int) -> HttpResponse:
    own = Credential.objects.filter(kind=CredentialKind.PERSONAL, person_id=operator_of(request).user_id)
    token = get_object_or_404(own, id=token_id, revoked_at__isnull=True)
    return revoked(request, token, back="my-tokens")


def revoked(request: HttpRequest, token: Credential, *, back: str, **where: str) -> HttpResponse:
    """Asks on GET and revokes on POST."""
    form = WhyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            revoke_token(credential_id=token.id, change=change_by(request, form.cleaned_data["reason"]))
            messages.success(request, f"The token {token.label} is revoked.")
        except RainbowError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse(back, kwargs=where))
    return page(request, "revoke_token", f"Revoke the token {token.label}", form=form, token=token, **where)


def shown_once(request: HttpRequest, new: NewCredential, **where: str) -> HttpResponse:
    return page(request, "new_value", f"The token {new.credential.label}", new=new, **where)


def change_by(request: HttpRequest, reason: str = "") -> Change:
    return Change(by=operator_of(request), now=timezone.now(), reason=reason)


def say_in(form: NewTokenForm, error: RainbowError) -> None:
    known = error.field in form.fields
    form.add_error(error.field if known else None, error.message if known else str(error))
