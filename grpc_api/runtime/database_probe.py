"""Probes of the database, on a connection of their own: whether it answers while work waits for it."""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Protocol

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from rainbow_site.sqlite.locks import holder_of


class DatabaseProbe(Protocol):
    """`patience_seconds` is how long work may take before the database is probed."""

    patience_seconds: float

    async def answers(self) -> bool: ...

    def cut(self, link: BaseDatabaseWrapper) -> None:
        """Makes the statement fail that a thread waits for on this connection."""


class SqliteProbe:
    """A file always answers, but a process that writes may keep the others from writing."""

    # Longer than the transactions of rainbow take, also on a slow disk.
    patience_seconds = 5.0
    # Work may be so old because there was much of it: a process that only takes its turn meanwhile is no reason.
    _TIMES, _PAUSE_SECONDS = 5, 0.2

    def __init__(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._pause = pause

    async def answers(self) -> bool:
        for _ in range(self._TIMES):
            if self._is_free():
                return True
            await self._pause(self._PAUSE_SECONDS)
        return self._is_free()

    def _is_free(self) -> bool:
        """Whether no other process holds the turn to write."""
        try:
            turn = os.open(f"{connection.settings_dict['NAME']}.turn", os.O_RDWR)
        except OSError:
            # There is none before the first write.
            return True
        try:
            fcntl.flock(turn, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder_of(turn) == f"process {os.getpid()}"
        finally:
            os.close(turn)
        return True

    def cut(self, link: BaseDatabaseWrapper) -> None:
        """Nothing to cut: the thread gets its turn, or its own timeout ends."""


def probe_of(vendor: str) -> DatabaseProbe:
    if vendor == "sqlite":
        return SqliteProbe()
    # Loads psycopg, which a server with SQLite does without.
    probe: DatabaseProbe = import_module("grpc_api.runtime.postgresql_probe").PostgresqlProbe()
    return probe
