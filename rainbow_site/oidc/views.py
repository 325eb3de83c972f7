"""Signing in at the provider: there, and back with a code; and signing out."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin, auth, messages
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from jwt import PyJWTError
from mozilla_django_oidc.views import (
    OIDCAuthenticationCallbackView,
    OIDCAuthenticationRequestView,
)
from requests import RequestException

from clusters.metrics import CREDENTIALS_REFUSED, LOCK_OUTS
from clusters.services.throttle import give_guess_back, provider_limits, take_guess
from rainbow.errors import ResourceExhausted
from rainbow_site.console.password_hashing import TooBusy
from rainbow_site.console.sessions import end_at_length
from rainbow_site.console.signing_in import sign_in_line
from rainbow_site.oidc.answers import ProviderFailed
from rainbow_site.oidc.backend import SignInRefused
from rainbow_site.oidc.provider import provider
from rainbow_site.web.rest.addresses import address_of

# Of the session, as the library names them.
ID_TOKEN, RENEW_AT, THEN = "oidc_id_token", "oidc_id_token_expiration", "oidc_login_next"
# Exchanges of codes for tokens that a process does at a time: half of its threads stay free if the provider is slow.
_EXCHANGES = threading.BoundedSemaphore(4)
# For the time from here to the provider and back.
_BEGUN_SECONDS = 900
# What the library raises for answers that are none.
_WRONG_ANSWERS = (
    RequestException, PyJWTError, SuspiciousOperation, ProviderFailed,
    LookupError, TypeError, AttributeError, ValueError,
)  # fmt: skip
_FAILED = "The provider's answer could not be used. Try again; if that does not help, tell an operator."
_STRAY = "This sign-in was not begun in this browser, or too long ago."
_log = logging.getLogger("rainbow.http")


class Begin(OIDCAuthenticationRequestView):  # type: ignore[misc]  # (without types)
    def __init__(self, **kwargs: Any) -> None:
        """Without the library's, which reads the endpoints before an answer can say that the provider fails."""
        self.OIDC_RP_CLIENT_ID = settings.RAINBOW_OIDC_CLIENT_ID

    @property
    def OIDC_OP_AUTH_ENDPOINT(self) -> str:
        return provider().authorization_endpoint

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            response: HttpResponse = super().get(request)
        except ProviderFailed as failure:
            return _refuse(request, "provider failed", HTTPStatus.BAD_GATEWAY, _FAILED, why=failure)
        if not request.user.is_authenticated:
            request.session.set_expiry(_BEGUN_SECONDS)
        return response

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        return {"prompt": "none"} if request.user.is_authenticated and "renew" in request.GET else {}


class Callback(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # (without types)
    failure_url = ""

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.GET.get("state") not in request.session.get("oidc_states", {}):
            # Also for errors, for which the library would sign out whom another site's link brings here.
            return _refuse(request, "sign-in refused", HTTPStatus.BAD_REQUEST, _STRAY, why="unknown state")
        self.failure_url = sign_in_page(request.session.get(THEN) or "")
        if request.GET.get("error"):
            messages.info(request, "The provider did not sign you in.")
            response: HttpResponse = super().get(request)
            return response
        limits = provider_limits(address_of(request))
        if seconds := take_guess(limits, now=timezone.now()):
            return _too_many(request, seconds)
        response = self._exchange(request)
        if response.status_code == HTTPStatus.FOUND:
            give_guess_back(limits)
        return response

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        try:
            with _one_of_few():
                response: HttpResponse = super().get(request)
            return response
        except (SignInRefused, ResourceExhausted) as refusal:
            auth.logout(request)
            return _refuse(request, "sign-in refused", HTTPStatus.FORBIDDEN, str(refusal), why=refusal)
        except _WRONG_ANSWERS as error:
            auth.logout(request)
            return _refuse(request, "provider failed", HTTPStatus.BAD_GATEWAY, _FAILED, why=_in_words(error))

    def login_success(self) -> HttpResponseBase:
        renewed = self.request.user == self.user
        # Signing in as another person empties the session.
        kept = {name: self.request.session.get(name) for name in (ID_TOKEN, THEN)}
        response: HttpResponseBase = super().login_success()
        self.request.session.update(kept)
        if not renewed:
            end_at_length(self.request.session)
            account = self.user.get_username()
            _log.info(sign_in_line("signed in", account, self.request, provider=settings.RAINBOW_OIDC_ISSUER))
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session here, and at the provider the one that it came from (OpenID Connect RP-Initiated Logout 1.0)."""
    id_token = request.session.get(ID_TOKEN)
    auth.logout(request)
    here = request.build_absolute_uri(sign_in_page())
    if id_token is None:
        return HttpResponseRedirect(here)
    try:
        there = provider().end_session_endpoint
    except ProviderFailed:
        there = ""
    if not there:
        messages.warning(request, "You are signed out here, and not at the provider.")
        return HttpResponseRedirect(here)
    words = {
        "id_token_hint": id_token,
        "client_id": settings.RAINBOW_OIDC_CLIENT_ID,
        "post_logout_redirect_uri": here,
    }
    return HttpResponseRedirect(f"{there}{'&' if '?' in there else '?'}{urlencode(words)}")


def sign_in_page(then: str = "") -> str:
    """The operators', or the people's where it leads back to a page outside the console."""
    words = urlencode({"next": then} if then else {})
    page = settings.LOGIN_URL if not then or then.startswith(reverse("admin:index")) else "sign-in"
    return f"{reverse(page)}{'?' if words else ''}{words}"


@contextmanager
def _one_of_few() -> Iterator[None]:
    """Raises TooBusy."""
    if not _EXCHANGES.acquire(blocking=False):
        raise TooBusy
    try:
        yield
    finally:
        _EXCHANGES.release()


def _in_words(error: Exception) -> str:
    """Its kind; with its text only where that is ours or the library's, not a provider's or a token's."""
    told = isinstance(error, SuspiciousOperation | PyJWTError | ProviderFailed)
    return f"{type(error).__name__}: {error}" if told else type(error).__name__


def _too_many(request: HttpRequest, seconds: int) -> HttpResponse:
    LOCK_OUTS.labels("sign-in").inc()
    text = f"Too many sign-ins from your address failed; try again in {seconds} seconds."
    response = _refuse(request, "sign-in throttled", HTTPStatus.TOO_MANY_REQUESTS, text, why="")
    response["Retry-After"] = str(seconds)
    return response


def _refuse(request: HttpRequest, event: str, status: HTTPStatus, text: str, *, why: Exception | str) -> HttpResponse:
    CREDENTIALS_REFUSED.labels("sign-in").inc()
    _log.warning(sign_in_line(event, "", request, provider=settings.RAINBOW_OIDC_ISSUER, reason=str(why)))
    context = {**admin.site.each_context(request), "text": text, "again": sign_in_page(), "title": "Not signed in"}
    return render(request, "sign_in/refused.html", context, status=status)
