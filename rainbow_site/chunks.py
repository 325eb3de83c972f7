"""Bodies whose length is not said beforehand."""

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponseBase

from rainbow_site.problems import problem_response

Answer = Callable[[HttpRequest], HttpResponseBase]


def refuse_chunks(answer: Answer) -> Answer:
    """Middleware: Django would take such a body for empty, and what it says would be ignored."""

    def refuse_or_answer(request: HttpRequest) -> HttpResponseBase:
        if "Transfer-Encoding" in request.headers:
            return problem_response(HTTPStatus.LENGTH_REQUIRED, "send the body with Content-Length, not in chunks")
        return answer(request)

    return refuse_or_answer
