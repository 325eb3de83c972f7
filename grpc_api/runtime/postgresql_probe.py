import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


class PostgresqlProbe:
    """Connects within a second, or no connection can be used: calls are refused in less than two seconds."""

    patience_seconds = 0.7
    # A second in parts: where this process stands still, as on a machine that stalls, it loses one of them at most.
    _PARTS, _PART_SECONDS = 10, 0.1

    async def answers(self) -> bool:
        answer = asyncio.create_task(_answer())
        try:
            for _ in range(self._PARTS):
                await asyncio.wait([answer], timeout=self._PART_SECONDS)
                if answer.done():
                    return answer.result()
            return False
        finally:
            # Without waiting for it: psycopg gives a database 10 seconds to end a statement.
            answer.cancel()

    def cut(self, link: BaseDatabaseWrapper) -> None:
        # Shuts the socket down by a copy of its descriptor, since the thread closes its own.
        with (
            suppress(AttributeError, OSError, psycopg.Error),
            socket.socket(fileno=os.dup(link.connection.fileno())) as end,
        ):
            end.shutdown(socket.SHUT_RDWR)


async def _answer() -> bool:
    try:
        async with await connect() as asked:
            await asked.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


async def connect() -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(**parameters(), autocommit=True)


def parameters() -> dict[str, Any]:
    """How to connect with psycopg, without what belongs to Django's own connections."""
    known = connection.get_connection_params()
    return {name: value for name, value in known.items() if name not in ("context", "cursor_factory")}
