from rainbow.errors import FailedPrecondition
from rainbow.telemetry import traces


def start_traces(service: str) -> None:
    """Raises FailedPrecondition."""
    try:
        traces.switch_on(service)
    except ImportError as error:
        text = "RAINBOW_TRACES: needs OpenTelemetry, which `pip install 'rainbow[otel]'` adds"
        raise FailedPrecondition(text) from error
