"""Traces: spans that lead from a submission to the end of its job, where they are switched on (docs/logs.md).

Off, which is the default, nothing of OpenTelemetry is loaded.
"""

import importlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

# Of gRPC's metadata and of HTTP's headers (W3C Trace Context, section 3.2).
KEY = "traceparent"
_VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


NONE: Mapping[str, object] = {}


class Span(Protocol):
    """Its `traceparent` is sent to those that go on with the trace; empty where traces are off."""

    @property
    def traceparent(self) -> str: ...

    def end(self, *, error: str = "", at: datetime | None = None, attributes: Mapping[str, object] = NONE) -> None:
        """Attributes that are None or empty are left out. `error` is why it failed, as a code."""


class Tracer(Protocol):
    def begin(
        self, name: str, kind: str, *, parent: str, at: datetime | None, attributes: Mapping[str, object]
    ) -> Span: ...

    def close(self) -> None: ...


class _NoSpan:
    traceparent = ""

    def end(self, *, error: str = "", at: datetime | None = None, attributes: Mapping[str, object] = NONE) -> None:
        pass


class _Traces:
    """Those of this process."""

    tracer: Tracer | None = None


NO_SPAN = _NoSpan()


def are_on() -> bool:
    return _Traces.tracer is not None


def switch_on(service: str) -> None:
    """Exports spans as the OTEL_* variables say. Raises ImportError without the extra `otel`."""
    exporter = importlib.import_module("rainbow.telemetry.opentelemetry_traces")
    _Traces.tracer = exporter.OpenTelemetry(service)


def switch_off() -> None:
    """Exports what is left, for a second at most: a collector that does not answer keeps no process from ending."""
    if _Traces.tracer is not None:
        _Traces.tracer.close()
    _Traces.tracer = None


def begin(name: str, kind: str, *, parent: str = "", at: datetime | None = None, **attributes: object) -> Span:
    """`kind` is client, server or internal. A parent that is not a valid traceparent is ignored."""
    if _Traces.tracer is None:
        return NO_SPAN
    return _Traces.tracer.begin(name, kind, parent=traceparent_from(parent), at=at, attributes=attributes)


def traceparent_from(offered: object) -> str:
    return offered if isinstance(offered, str) and _VALID.fullmatch(offered) else ""
