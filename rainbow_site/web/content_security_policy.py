from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

Answer = Callable[[HttpRequest], HttpResponseBase]

# Scripts only from our files; Swagger UI and REST framework's pages have inline styles and images.
# https://www.w3.org/TR/CSP3/
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


# Responses depend on the caller (RFC 9111, section 5.2.2).
_FOR_THE_CALLER = "private, no-cache"


def send_policy(answer: Answer) -> Answer:
    def answer_with_policy(request: HttpRequest) -> HttpResponseBase:
        response = answer(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        if request.path.startswith("/api/v1/"):
            response.headers.setdefault("Cache-Control", _FOR_THE_CALLER)
        return response

    return answer_with_policy
