"""Metrics of HTTP connections, and of requests that never reach the application."""

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("rainbow_http_connections", "Open connections.")
REFUSED = Counter("rainbow_http_refused_total", "Requests that were no HTTP, or too large, by status.", ["status"])
