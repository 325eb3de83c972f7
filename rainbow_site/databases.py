"""How rainbow speaks to its two databases."""

from typing import Any

Config = dict[str, Any]

# What was answered is on disk: a commit waits for the disk (FULL), readers never wait for the writer (WAL),
# and a transaction takes the write lock when it begins, so that none fails half-way for want of it.
SQLITE_OPTIONS: Config = {
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}


def configure(config: Config, *, pool_size: int) -> Config:
    """Completes what DATABASE_URL said with what its database needs."""
    if config["ENGINE"].endswith("sqlite3"):
        return _configure_sqlite(config)
    return _configure_postgresql(config, pool_size=pool_size)


def _configure_sqlite(config: Config) -> Config:
    options = {**SQLITE_OPTIONS, **config.get("OPTIONS", {})}
    # Opening a connection costs 2 ms, so they are kept. The tests use threads, for which the default
    # in-memory test database does not serve.
    test = {"NAME": str(config["NAME"]) + ".test"}
    return {**config, "OPTIONS": options, "CONN_MAX_AGE": None, "TEST": test}


def _configure_postgresql(config: Config, *, pool_size: int) -> Config:
    # The pool keeps the connections; a health check finds those that a restarted database left behind.
    pool = {"min_size": 1, "max_size": pool_size, "timeout": 10}
    options = {**config.get("OPTIONS", {}), "pool": pool}
    return {**config, "OPTIONS": options, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
