"""Errors as the IRI Facility API has them: problem documents with an instance, whose fields are `invalid_params`."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from rest_framework.response import Response

from jobs.iri.requests import place_of
from rainbow.errors import AlreadyExists, InvalidArgument, RainbowError
from rainbow_site.web import problems

# What can be read and cannot be done, a key of another body among it.
_UNPROCESSABLE = (AlreadyExists, InvalidArgument)


def answer_failure(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's exception handler."""
    response = problems.answer_failure(error, context)
    document = dict(response.data)
    if isinstance(error, _UNPROCESSABLE):
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        document = _unprocessable(error)
    wrong = [{"name": one["field"], "reason": one["detail"]} for one in document.pop("errors", ())]
    document["instance"] = quote(context["request"].path)
    response.data = {**document, "invalid_params": wrong} if wrong else document
    return response


def _unprocessable(error: RainbowError) -> dict[str, Any]:
    """With the field's place in a JobSpec, where services know it by another name."""
    if not error.field:
        return problems.problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.message)
    place = place_of(error.field)
    wrong = [{"field": place, "detail": error.message}]
    return problems.problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {error.message}", errors=wrong)
