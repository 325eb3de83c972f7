"""Whether the database answers, asked beside the work that waits for it."""

import asyncio
import fcntl
import os
import socket
from contextlib import suppress
from typing import Any, Protocol

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from rainbow_site.sqlite.locks import holder_of


class Pulse(Protocol):
    """`patience_seconds` is how long work may take before it is asked for."""

    patience_seconds: float

    async def beats(self) -> bool: ...

    def cut(self, link: BaseDatabaseWrapper) -> None:
        """Lets a thread that waits for the database on this connection fail at once."""


class PostgresqlPulse:
    """A connection of its own answers within a second, or none does: callers are told in less than two."""

    patience_seconds = 0.7
    _ANSWER_SECONDS = 1.0

    async def beats(self) -> bool:
        try:
            async with asyncio.timeout(self._ANSWER_SECONDS):
                async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as asked:
                    await asked.execute("SELECT 1")
        except (TimeoutError, psycopg.Error):
            return False
        return True

    def cut(self, link: BaseDatabaseWrapper) -> None:
        # Its socket, by a copy of the descriptor: the thread itself closes its own.
        with (
            suppress(AttributeError, OSError, psycopg.Error),
            socket.socket(fileno=os.dup(link.connection.fileno())) as end,
        ):
            end.shutdown(socket.SHUT_RDWR)


class SqlitePulse:
    """A file always answers, but one process that writes may keep all others waiting."""

    # Longer than the transactions of rainbow take, also on a slow disk.
    patience_seconds = 5.0

    async def beats(self) -> bool:
        try:
            turn = os.open(f"{connection.settings_dict['NAME']}.turn", os.O_RDWR)
        except OSError:
            # Nobody has written yet.
            return True
        try:
            fcntl.flock(turn, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder_of(turn) == f"process {os.getpid()}"
        finally:
            os.close(turn)
        return True

    def cut(self, link: BaseDatabaseWrapper) -> None:
        """It has its turn some time, or its own patience ends."""


def parameters() -> dict[str, Any]:
    """Where the database is, without what belongs to Django's own connections."""
    known = connection.get_connection_params()
    return {name: value for name, value in known.items() if name not in ("context", "cursor_factory")}


_PULSES: dict[str, type[PostgresqlPulse] | type[SqlitePulse]] = {"postgresql": PostgresqlPulse, "sqlite": SqlitePulse}


def pulse_of(vendor: str) -> Pulse:
    return _PULSES[vendor]()
