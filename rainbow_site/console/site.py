"""The admin site: its header, and its rate limits on passwords."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from clusters.services.throttle import give_guess_back, sign_in_limits, take_guess
from rainbow_site.console.password_hashing import TooBusy
from rainbow_site.console.sessions import end_at_length
from rainbow_site.console.signing_in import StaffSignInForm, seconds_to_wait, too_many_guesses
from rainbow_site.web.rest.addresses import address_of


class ConsoleSite(AdminSite):
    site_header = site_title = settings.RAINBOW_NAME
    site_url = None
    enable_nav_sidebar = False
    login_form = StaffSignInForm

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "debug": settings.DEBUG, "provider": provider_label()}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().login(request, extra_context)
        if request.method == "POST" and request.user.is_authenticated:
            end_at_length(request.session)
        if seconds := seconds_to_wait(request):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response["Retry-After"] = str(seconds)
        return response

    def password_change(  # type: ignore[override]  # (Django's own answers with a redirect, too)
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Limits the old password, too: an intruder in an open session must not guess it."""
        if request.method != "POST":
            return super().password_change(request, extra_context)
        limits = sign_in_limits(address_of(request), request.user.get_username())
        if seconds := take_guess(limits, now=timezone.now()):
            messages.error(request, too_many_guesses(seconds))
            return HttpResponseRedirect(request.path)
        try:
            response = super().password_change(request, extra_context)
        except TooBusy:
            give_guess_back(limits)
            raise
        if not _old_password_was_wrong(response):
            give_guess_back(limits)
        return response


def provider_label() -> str:
    """What people call the provider that they may sign in at; empty without one."""
    return settings.RAINBOW_OIDC_LABEL if settings.RAINBOW_OIDC_ISSUER else ""


def _old_password_was_wrong(response: HttpResponse) -> bool:
    form = (getattr(response, "context_data", None) or {}).get("form")
    return form is not None and "old_password" in form.errors
