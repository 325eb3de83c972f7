from pathlib import Path
from typing import Any

from environ import Env

from rainbow_site.environment import WrongSetting

Config = dict[str, Any]

IN_MEMORY = ":memory:"
# Commits are synced to disk (FULL), readers never wait for the writer (WAL), and a transaction takes the write lock at
# its start (IMMEDIATE), since an upgrade of a read lock may fail.
SQLITE_OPTIONS: Config = {
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
}
# Detects a dead machine or a network that drops packets within 15 seconds, not hours.
POSTGRESQL_OPTIONS: Config = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 5,
    "tcp_user_timeout": 15_000,
}
# With fewer slashes the path would be a host, which SQLite does not have.
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")


def configure(url: str, *, pool_size: int) -> Config:
    """What Django has to know of the database that DATABASE_URL names. Raises WrongSetting."""
    config = _parsed(url) if url.startswith((_SQLITE, *_POSTGRESQL)) else {}
    if not config.get("NAME"):
        raise WrongSetting("DATABASE_URL: must be sqlite:////path/to/file.db or postgresql://user:password@host/name")
    return _configure_sqlite(config) if url.startswith(_SQLITE) else _configure_postgresql(config, pool_size=pool_size)


def _parsed(url: str) -> Config:
    try:
        config: Config = Env.db_url_config(url)
    except ValueError:
        # The message may quote a part of the password.
        raise WrongSetting(
            "DATABASE_URL: cannot be read; percent-encode special characters of user and password"
        ) from None
    return config


def _configure_sqlite(config: Config) -> Config:
    folder = Path(config["NAME"]).parent
    if not folder.is_dir():
        raise WrongSetting(f"DATABASE_URL: there is no folder {folder}")
    options = {**SQLITE_OPTIONS, **config.get("OPTIONS", {})}
    # Opening a connection costs 2 ms, so they are kept. The tests use threads, for which the default
    # in-memory test database does not serve.
    test = {"NAME": str(config["NAME"]) + ".test"}
    return {**config, "ENGINE": "rainbow_site.sqlite", "OPTIONS": options, "CONN_MAX_AGE": None, "TEST": test}


def _configure_postgresql(config: Config, *, pool_size: int) -> Config:
    # The pool keeps the connections; a health check finds those that a restarted database left behind. Callers
    # wait for a connection no longer than clients wait before a retry, and a database that comes back is tried at once,
    # without the backoff of a long outage.
    pool = {"min_size": 1, "max_size": pool_size, "timeout": 2, "reconnect_timeout": 2}
    options = {**POSTGRESQL_OPTIONS, **config.get("OPTIONS", {}), "pool": pool}
    return {**config, "OPTIONS": options, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
