"""Sessions that began at the provider ask it again, unseen, whether the person and their groups are as before."""

import time
from http import HTTPStatus
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from rainbow_site.oidc.views import RENEW_AT
from rainbow_site.web.content_security_policy import Answer

# A script cannot follow to the provider: it loads its page anew instead.
REFRESH_HEADER = "X-Rainbow-Sign-In"


def renew(answer: Answer) -> Answer:
    own = reverse("oidc_authentication_init"), reverse("oidc_authentication_callback")

    def answer_or_renew(request: HttpRequest) -> HttpResponseBase:
        renew_at = request.session.get(RENEW_AT)
        if renew_at is None or time.time() < renew_at or request.path in own:
            return answer(request)
        if _navigates(request):
            words = {"renew": "1", "next": request.get_full_path()}
            return HttpResponseRedirect(f"{own[0]}?{urlencode(words)}")
        if "X-Requested-With" in request.headers:
            return HttpResponse(status=HTTPStatus.FORBIDDEN, headers={REFRESH_HEADER: "renew"})
        if time.time() >= renew_at + settings.RAINBOW_OIDC_RENEW_SECONDS:
            auth.logout(request)
        return answer(request)

    return answer_or_renew


def _navigates(request: HttpRequest) -> bool:
    """Whether a page is loaded, as against a form that is sent, a script's request or a call of the API.

    These go on for as long again; then the session is over.
    """
    of_a_script = "X-Requested-With" in request.headers or request.path.startswith("/api/v1/")
    return request.method == "GET" and not of_a_script
