from django.http import HttpRequest, HttpResponse, HttpResponseBase

from rainbow_site.console.password_hashing import TooBusy
from rainbow_site.web.content_security_policy import Answer
from rainbow_site.web.pages import busy

RETRY_AFTER_SECONDS = 3


class AnswerTooBusy:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._answer(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, TooBusy):
            return None
        response = busy(request)
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
