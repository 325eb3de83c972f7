from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers

from rainbow_site.oidc.origins import origins

Answer = Callable[[HttpRequest], HttpResponseBase]

# Scripts only from our files; Swagger UI and REST framework's pages have inline styles and images.
# https://www.w3.org/TR/CSP3/
_DIRECTIVES = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


# Responses depend on the caller (RFC 9111, section 5.2.2).
_FOR_THE_CALLER = "private, no-cache"
_CALLERS = ("Authorization", "Cookie")


def content_security_policy() -> str:
    """Forms lead to us, and by our redirects to the provider that people sign in at."""
    targets = " ".join(["'self'", *sorted(origins())])
    return f"{_DIRECTIVES}; form-action {targets}"


def send_policy(answer: Answer) -> Answer:
    def answer_with_policy(request: HttpRequest) -> HttpResponseBase:
        response = answer(request)
        response.headers.setdefault("Content-Security-Policy", content_security_policy())
        if request.path.startswith(("/api/v1/", "/iri/")):
            response.headers.setdefault("Cache-Control", _FOR_THE_CALLER)
            patch_vary_headers(response, _CALLERS)
        return response

    return answer_with_policy
