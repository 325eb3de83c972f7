"""How long an agent may stay silent about a job that it holds, as on the server (jobs/leases.py)."""

DEFAULT_SECONDS = 300
MIN_SECONDS = 10
MAX_SECONDS = 86_400
