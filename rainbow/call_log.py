"""A line of log and a span for each attempt at a call, and the id of the call in its failure."""

import logging
import time
from typing import TypeVar

from rainbow.errors import RainbowError
from rainbow.telemetry import traces
from rainbow.telemetry.lines import Line
from rainbow.telemetry.request_ids import KEY

Metadata = tuple[tuple[str, str], ...]
Failure = TypeVar("Failure", bound=RainbowError)

_log = logging.getLogger("rainbow.client")


class CallLog:
    def __init__(self, call: object, metadata: Metadata) -> None:
        """`call` is one of a stub's."""
        self._call = call
        self._request_id = dict(metadata)[KEY]
        self._span = traces.begin(self._name(), "client") if traces.are_on() else traces.NO_SPAN
        # What the attempt sends: its span is the parent of the server's.
        self.metadata = (*metadata, (traces.KEY, parent)) if (parent := self._span.traceparent) else metadata
        self._began = time.perf_counter()

    def ended(self) -> None:
        self._write("OK")

    def failed(self, failure: Failure) -> Failure:
        failure.request_id = self._request_id
        self._write(failure.code)
        return failure

    def _write(self, code: str) -> None:
        self._span.end(error="" if code == "OK" else code, attributes={"request_id": self._request_id})
        if _log.isEnabledFor(logging.DEBUG):
            ms = (time.perf_counter() - self._began) * 1000
            line = Line("call", ("call",), call=self._name(), code=code, ms=ms, request_id=self._request_id)
            _log.debug(line)

    def _name(self) -> str:
        path = getattr(self._call, "_method", b"")
        return (path.decode() if isinstance(path, bytes) else str(path)).rpartition("/")[2]
