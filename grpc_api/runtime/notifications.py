"""Hearing what other servers, pages and operators did, to wake the calls that wait for it.

docs/decisions/0013-news.md says why it is done so.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from urllib.parse import quote

import psycopg
from django.db import DatabaseError, connection

from grpc_api.runtime.pulse import parameters
from grpc_api.runtime.thread_pools import Lanes
from grpc_api.runtime.wakeups import Arrivals
from jobs.notify import CHANNEL, Word
from jobs.queries.news import news_since, queues_with_jobs
from rainbow.errors import Unavailable

# How often a SQLite file is looked at while somebody waits; a look takes microseconds.
LOOK_EVERY_SECONDS = 0.02
# After reading news it rests for so many times as long as that took: under load it reads more at a time.
REST_TIMES, REST_AT_MOST_SECONDS = 10, 0.03
# How often a PostgreSQL connection on which nothing comes is asked whether it lives.
ASK_EVERY_SECONDS = 60
_ANSWER_SECONDS = 10
# How often all that is waited for is looked at without any news: a word may be lost, a cluster be resumed.
LOOK_AROUND_EVERY_SECONDS = 20
_AGAIN_AFTER_SECONDS = 2

_log = logging.getLogger("rainbow.grpc")


async def listen(arrivals: Arrivals, lanes: Lanes) -> None:
    """Announces, for ever, what others do."""
    hear = _WAYS[connection.vendor]
    while True:
        try:
            await hear(arrivals, lanes)
        # Whatever it is: calls that wait would otherwise wait for their own looks, and nobody know why.
        except Exception as error:
            _log.warning("cannot hear of news; trying again error=%r", str(error))
        await asyncio.sleep(_AGAIN_AFTER_SECONDS)


async def look_around(arrivals: Arrivals, lanes: Lanes) -> None:
    """Announces, now and then and for ever, what waits for those who wait: one query for all of them."""
    while True:
        await asyncio.sleep(LOOK_AROUND_EVERY_SECONDS)
        try:
            arrivals.announce(await lanes.read(partial(queues_with_jobs, clusters=arrivals.queues)))
        except (DatabaseError, Unavailable) as error:
            _log.warning("could not look for waiting jobs error=%r", str(error))
        arrivals.announce_all_jobs()


async def _hear_postgresql(arrivals: Arrivals, lanes: Lanes) -> None:
    """One connection for the whole server; nothing is asked of the database while nothing happens."""
    async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as told:
        await told.execute(f"LISTEN {CHANNEL}")
        # What was said before is not repeated.
        arrivals.announce_all()
        while True:
            async for notice in told.notifies(timeout=ASK_EVERY_SECONDS):
                _announce(arrivals, Word.of(notice.payload))
            async with asyncio.timeout(_ANSWER_SECONDS):
                await told.execute("SELECT 1")


def _announce(arrivals: Arrivals, word: Word) -> None:
    if word.jobs is None:
        arrivals.announce_all_jobs()
    arrivals.announce(arrivals.queues if word.clusters is None else word.clusters)
    arrivals.announce(word.jobs or ())


async def _hear_sqlite(arrivals: Arrivals, lanes: Lanes) -> None:
    """Looks whether somebody has written to the file, and only then at what; nobody looks while nobody waits."""
    # Never makes a new one where the database is gone.
    place = f"file:{quote(str(connection.settings_dict['NAME']))}?mode=rw"
    with closing(sqlite3.connect(place, uri=True, timeout=0)) as file:
        while True:
            await arrivals.until_awaited()
            await _follow(file, arrivals, lanes)


async def _follow(file: sqlite3.Connection, arrivals: Arrivals, lanes: Lanes) -> None:
    version = _version(file)
    news = await lanes.read(partial(news_since, after=None))
    # They may have looked before that.
    arrivals.announce_all()
    while arrivals.awaited:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        if version == (version := _version(file)):
            continue
        began = time.monotonic()
        news = await lanes.read(partial(news_since, after=news.last))
        arrivals.announce([*news.clusters, *news.jobs])
        await asyncio.sleep(min(REST_TIMES * (time.monotonic() - began), REST_AT_MOST_SECONDS))


def _version(file: sqlite3.Connection) -> int:
    """Changes with every commit of another connection (https://www.sqlite.org/pragma.html#pragma_data_version)."""
    return int(file.execute("PRAGMA data_version").fetchone()[0])


_WAYS: dict[str, Callable[[Arrivals, Lanes], Awaitable[None]]] = {
    "postgresql": _hear_postgresql,
    "sqlite": _hear_sqlite,
}
