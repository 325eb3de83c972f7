"""Spans by OpenTelemetry's SDK, sent over OTLP from a thread of its own."""

import logging
import re
import threading
from collections.abc import Mapping
from datetime import datetime

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rainbow.telemetry.traces import KEY, NONE

_PATIENCE_SECONDS = 1.0
_KINDS = {
    "client": trace.SpanKind.CLIENT,
    "server": trace.SpanKind.SERVER,
    "internal": trace.SpanKind.INTERNAL,
}
_parents = TraceContextTextMapPropagator()
# These quote the variables: headers that are not NAME=VALUE, which hold the collector's credential, and an endpoint,
# which may have a user and a password.
_QUOTES_HEADERS, _QUOTES_ENDPOINT = "opentelemetry.util.re", "opentelemetry.exporter.otlp.proto.grpc.exporter"
_USER = re.compile(r"[^\s/@]+:[^\s/@]*@")


def _without_headers(record: logging.LogRecord) -> bool:
    record.msg, record.args = "OTEL_EXPORTER_OTLP_HEADERS: left out what is not NAME=VALUE, URL-encoded", ()
    return True


def _without_user(record: logging.LogRecord) -> bool:
    record.msg, record.args = _USER.sub("(credential)@", record.getMessage()), ()
    return True


class OpenTelemetry:
    def __init__(self, service: str) -> None:
        logging.getLogger(_QUOTES_HEADERS).addFilter(_without_headers)
        logging.getLogger(_QUOTES_ENDPOINT).addFilter(_without_user)
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
        resource = Resource({"service.name": service}).merge(OTELResourceDetector().detect())
        # Its own hook would wait at the end for as long as the collector is away.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("rainbow")

    def begin(
        self, name: str, kind: str, *, parent: str, at: datetime | None, attributes: Mapping[str, object]
    ) -> "OpenTelemetrySpan":
        # Without a parent, the span that the program itself has begun.
        context = _parents.extract({KEY: parent}) if parent else None
        span = self._tracer.start_span(name, context, _KINDS[kind], _known(attributes), start_time=_nanoseconds(at))
        return OpenTelemetrySpan(span)

    def close(self) -> None:
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_PATIENCE_SECONDS)


class OpenTelemetrySpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        ids = self._span.get_span_context()
        return f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"

    def end(self, *, error: str = "", at: datetime | None = None, attributes: Mapping[str, object] = NONE) -> None:
        self._span.set_attributes(_known(attributes))
        if error:
            self._span.set_status(trace.StatusCode.ERROR, error)
        self._span.end(_nanoseconds(at))


def _known(attributes: Mapping[str, object]) -> dict[str, str | int]:
    named = {f"rainbow.{name}": value for name, value in attributes.items() if value not in (None, "")}
    return {name: value if isinstance(value, int) else str(value) for name, value in named.items()}


def _nanoseconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp() * 1_000_000) * 1_000
