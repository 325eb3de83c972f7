"""Metrics of calls. Only known methods are labels: a client chooses the path of its call."""

from contextlib import AbstractContextManager

import grpc
from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("rainbow_grpc_calls_total", "Calls that ended, by method and code.", ["method", "code"])
CALL_SECONDS = Histogram(
    "rainbow_grpc_call_seconds",
    "How long calls took, including what some of them wait for jobs or changes.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 300),
)
CALLS_UNDER_WAY = Gauge("rainbow_grpc_calls_under_way", "Calls that are answered now, those that wait included.")
STREAMS = Gauge("rainbow_grpc_streams", "Streaming calls under way.", ["method"])
REQUEST_BYTES_HELD = Gauge("rainbow_grpc_request_bytes_held", "Bytes of requests in memory.", ["callers"])
UNKNOWN_CALLS = Counter("rainbow_grpc_unknown_calls_total", "Calls of methods that the server does not have.")


class MethodMetrics:
    """Of one method. Looking labels up for each call is too costly."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._seconds: Histogram | None = None
        self._codes: dict[grpc.StatusCode, Counter] = {}

    def ended(self, code: grpc.StatusCode, seconds: float) -> None:
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = CALLS.labels(self._method, code.name)
        if self._seconds is None:
            self._seconds = CALL_SECONDS.labels(self._method)
        counter.inc()
        self._seconds.observe(seconds)

    def stream(self) -> AbstractContextManager[None]:
        return STREAMS.labels(self._method).track_inprogress()
