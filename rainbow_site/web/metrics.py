"""Metrics of HTTP requests. Labels are patterns of urls.py and known methods, never what a client wrote."""

from django.http import HttpRequest
from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "rainbow_http_requests_total",
    "HTTP requests that were answered, by method, route and class of the status.",
    ["method", "route", "status"],
)
REQUEST_SECONDS = Histogram(
    "rainbow_http_request_seconds",
    "How long requests took, including what some of them wait for jobs.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NO_ROUTE = "(none)"


def method_of(request: HttpRequest) -> str:
    """A known method: clients may write any."""
    return request.method if request.method in _METHODS else "(other)"


def count_request(request: HttpRequest, status: int, seconds: float) -> None:
    method = method_of(request)
    match = request.resolver_match
    route = match.route if match else NO_ROUTE
    REQUESTS.labels(method, route, f"{status // 100}xx").inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
