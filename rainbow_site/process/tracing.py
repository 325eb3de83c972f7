from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management.base import CommandError

from rainbow.telemetry import traces


@contextmanager
def exported_traces() -> Iterator[None]:
    """Traces of this process, if the settings ask for them. Raises CommandError where OpenTelemetry is not there."""
    if settings.RAINBOW_TRACES:
        try:
            traces.switch_on("rainbow-server")
        except ImportError as error:
            text = "RAINBOW_TRACES: needs OpenTelemetry: pip install --requirement requirements-otel.lock"
            raise CommandError(text) from error
    try:
        yield
    finally:
        traces.switch_off()
