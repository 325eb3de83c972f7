"""Whether this process lives, and whether it can serve."""

import logging

from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from rainbow_site.readiness import NOT_UP_TO_DATE, up_to_date

_log = logging.getLogger("rainbow.http")


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and has every migration; 503 otherwise."""
    trouble = _trouble()
    return JsonResponse({"status": trouble or "ok"}, status=503 if trouble else 200)


def _trouble() -> str:
    try:
        return "" if up_to_date() else NOT_UP_TO_DATE
    except Error as error:
        _log.warning("database does not answer error=%r", str(error))
        return "the database does not answer"
