import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


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
                async with await connect() as asked:
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


async def connect() -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(**parameters(), autocommit=True)


def parameters() -> dict[str, Any]:
    """How to connect with psycopg, without what belongs to Django's own connections."""
    known = connection.get_connection_params()
    return {name: value for name, value in known.items() if name not in ("context", "cursor_factory")}
