"""Probes of the database, on a connection of their own: whether it answers while work waits for it."""

import asyncio
import fcntl
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from rainbow_site.sqlite.locks import holder_of


class DatabaseProbe(Protocol):
    """`patience_seconds` is how long work may take before the database is probed."""

    patience_seconds: float

    async def answers(self) -> bool: ...

    def cut(self, link: BaseDatabaseWrapper) -> None:
        """Makes the statement fail that a thread waits for on this connection."""


class PostgresqlProbe:
    """Connects within a second, or no connection can be used: calls are refused in less than two seconds."""

    patience_seconds = 0.7
    ANSWER_SECONDS = 1.0
    # A timeout that ends so late says that this process stood still, and nothing of the database.
    _LATE_SECONDS = 1.5

    async def answers(self) -> bool:
        began = time.monotonic()
        if await self._answers_in_time():
            return True
        return time.monotonic() - began > self._LATE_SECONDS and await self._answers_in_time()

    async def _answers_in_time(self) -> bool:
        try:
            async with asyncio.timeout(self.ANSWER_SECONDS):
                async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as asked:
                    await asked.execute("SELECT 1")
        except (TimeoutError, psycopg.Error):
            return False
        return True

    def cut(self, link: BaseDatabaseWrapper) -> None:
        # Shuts the socket down by a copy of its descriptor, since the thread closes its own.
        with (
            suppress(AttributeError, OSError, psycopg.Error),
            socket.socket(fileno=os.dup(link.connection.fileno())) as end,
        ):
            end.shutdown(socket.SHUT_RDWR)


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


def parameters() -> dict[str, Any]:
    """How to connect with psycopg, without what belongs to Django's own connections."""
    known = connection.get_connection_params()
    return {name: value for name, value in known.items() if name not in ("context", "cursor_factory")}


_PROBES: dict[str, type[PostgresqlProbe] | type[SqliteProbe]] = {"postgresql": PostgresqlProbe, "sqlite": SqliteProbe}


def probe_of(vendor: str) -> DatabaseProbe:
    return _PROBES[vendor]()
