"""The pages on which people approve the command lines that `rainbow login` signs in."""

import logging
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clusters.callers import Operator
from clusters.models import Login
from clusters.services.logins import decide_login, find_login
from clusters.services.throttle import code_limits, give_guess_back, take_guess
from rainbow.errors import NotFound
from rainbow_site.console.signing_in import sign_in_line

_METHODS = ["GET", "HEAD", "POST"]
_log = logging.getLogger("rainbow.http")


@never_cache
@require_http_methods(_METHODS)
@login_required(login_url="sign-in")
def ask_for_code(request: HttpRequest) -> HttpResponse:
    code = request.POST.get("code", "").strip().replace("/", "")
    return redirect("decide-command-line", code=code) if code else _page(request, "enter")


@never_cache
@require_http_methods(_METHODS)
@login_required(login_url="sign-in")
def decide(request: HttpRequest, code: str) -> HttpResponse:
    """Shows a login, and by POST approves or denies it."""
    assert isinstance(request.user, User)
    now, limits = timezone.now(), code_limits(request.user.id)
    if seconds := take_guess(limits, now=now):
        return _too_many(request, seconds)
    try:
        login = find_login(code=code, now=now)
        give_guess_back(limits)
        return _decided(request, login, request.user) if request.method == "POST" else _shown(request, login)
    except NotFound:
        _log.warning(sign_in_line("unknown code of a command line", request.user.get_username(), request))
        return _page(request, "unknown", status=HTTPStatus.NOT_FOUND)


def _shown(request: HttpRequest, login: Login) -> HttpResponse:
    return _page(request, "decide", login=login, until=timezone.now() + timedelta(days=login.days))


def _decided(request: HttpRequest, login: Login, person: User) -> HttpResponse:
    """Raises NotFound when another was faster."""
    decision = request.POST.get("decision")
    if decision not in ("approve", "deny"):
        return _shown(request, login)
    approve = decision == "approve"
    by = Operator(user_id=person.pk, name=person.get_username())
    decide_login(code=login.code, approve=approve, by=by, now=timezone.now())
    _log.info(sign_in_line(f"command line {'approved' if approve else 'denied'}", by.name, request))
    outcome = f"will be signed in as {by.name} in a moment" if approve else "was denied, and gets no token"
    messages.success(request, f"The command line {login.label} {outcome}. You can close this page.")
    return redirect("command-line")


def _too_many(request: HttpRequest, seconds: int) -> HttpResponse:
    _log.warning(sign_in_line("codes of command lines throttled", request.user.get_username(), request))
    response = _page(request, "too_many", status=HTTPStatus.TOO_MANY_REQUESTS, seconds=seconds)
    response["Retry-After"] = str(seconds)
    return response


_TITLES = {
    "enter": "Sign in a command line",
    "decide": "Sign in this command line?",
    "unknown": "No such code",
    "too_many": "Too many codes",
}


def _page(request: HttpRequest, name: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": _TITLES[name], **context}
    return render(request, f"sign_in/{name}.html", context, status=status)
