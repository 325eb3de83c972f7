import logging
import threading
import time

from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted
from rainbow_site.process.certificate_watch import STATE
from rainbow_site.process.readiness import write
from rainbow_site.process.schema import NOT_UP_TO_DATE, up_to_date

NO_ANSWER = "the database does not answer"
OLD_CERTIFICATE = "the files of the certificate are not usable, and the one from before is in use; the log says why"
NO_WRITES = "the database takes no writes; the log says why"
_FRESH_SECONDS = 1
# So that callers do not occupy all threads during a slow check.
_PATIENCE_SECONDS = 1
_log = logging.getLogger("rainbow.http")


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, is migrated and accepts writes; 503 otherwise. Tells of a broken certificate."""
    trouble = _readiness.trouble()
    answer = {"status": trouble or "ok"}
    if STATE.trouble:
        answer["certificate"] = OLD_CERTIFICATE
    return JsonResponse(answer, status=503 if trouble else 200)


class _Readiness:
    """Checks at most once a second: a check costs a write, and callers need no credential."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._trouble = ""
        self._looked_at = float("-inf")

    def trouble(self) -> str:
        if not self._mutex.acquire(timeout=_PATIENCE_SECONDS):
            return NO_ANSWER
        try:
            if time.monotonic() - self._looked_at >= _FRESH_SECONDS:
                self._trouble = _look()
                self._looked_at = time.monotonic()
            return self._trouble
        finally:
            self._mutex.release()


def _look() -> str:
    trouble = NO_ANSWER
    try:
        if not up_to_date():
            return NOT_UP_TO_DATE
        trouble = NO_WRITES
        write()
    except Error as error:
        _log.warning(Line(f"not ready: {trouble}", error=Quoted(told(error))))
        return trouble
    return ""


_readiness = _Readiness()
