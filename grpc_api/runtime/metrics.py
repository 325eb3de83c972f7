"""Metrics of what runs the calls: group commits, threads of the database, waits, leases."""

from prometheus_client import Counter, Gauge, Histogram

BATCH_SIZE = Histogram(
    "rainbow_group_commit_calls",
    "Calls that shared a transaction.",
    ["verb"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024),
)
BATCH_WAIT = Histogram(
    "rainbow_group_commit_wait_seconds",
    "How long the first call of a transaction had waited for those before.",
    ["verb"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
THREADS = Gauge("rainbow_database_threads", "Threads for work on the database.", ["kind"])
THREADS_BUSY = Gauge("rainbow_database_threads_busy", "Threads that work on the database now.", ["kind"])
QUEUED_WORK = Gauge("rainbow_database_work_queued", "Pieces of work that wait for a thread now.", ["kind"])
DATABASE_AWAY = Gauge("rainbow_database_away", "Whether calls are refused since the database does not answer.")
WAITING_CALLS = Gauge("rainbow_grpc_calls_waiting", "Calls that wait for jobs, or for a change of a job.")
LEASES_EXPIRED = Counter(
    "rainbow_leases_expired_total", "Jobs whose agent fell silent, by what became of them.", ["outcome"]
)
JOBS_EXPIRED = Counter("rainbow_jobs_expired_total", "Jobs that failed since they waited until their expiry.")
WEBHOOK_MESSAGES = Counter("rainbow_webhook_messages_total", "Notifications that receivers of webhooks took.")
WEBHOOK_FAILURES = Counter("rainbow_webhook_failures_total", "Notifications that could not be delivered, each time.")
