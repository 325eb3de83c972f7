"""Notifications of what other servers, pages and operators did, to wake the calls that wait for it.

docs/decisions/0013-news.md has the reasons.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from importlib import import_module
from urllib.parse import quote

from django.db import Error, connection

from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups
from jobs.notify import CHANNEL, Word
from jobs.queries.news import jobs_wait_for, news_since, queues_with_jobs
from jobs.room import forget_room
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# How often a SQLite file is polled while calls wait; a poll takes microseconds.
POLL_FILE_EVERY_SECONDS = 0.02
# After reading news it rests for so many times as long as that took: under load it reads more at a time.
REST_TIMES, REST_AT_MOST_SECONDS = 10, 0.03
# How often a PostgreSQL connection without notifications is tested.
PING_EVERY_SECONDS = 60
_ANSWER_SECONDS = 10
# How often queues are polled without any notification: one may be lost, and resuming a cluster sends none.
POLL_QUEUES_EVERY_SECONDS = 20
_RETRY_AFTER_SECONDS = 2

_log = logging.getLogger("rainbow.grpc")


async def follow_notifications(wakeups: Wakeups, pools: ThreadPools) -> None:
    follow = _WAYS[connection.vendor]
    while True:
        try:
            await follow(wakeups, pools)
        # Of whatever kind: calls would otherwise wait for their own polls, with nothing in the log.
        except Exception as error:
            _log.warning(Line("lost the notifications of other servers; trying again", error=Quoted(told(error))))
        await asyncio.sleep(_RETRY_AFTER_SECONDS)


async def poll_waiting_queues(wakeups: Wakeups, pools: ThreadPools) -> None:
    while True:
        await asyncio.sleep(POLL_QUEUES_EVERY_SECONDS)
        try:
            wakeups.wake(await pools.read(partial(queues_with_jobs, clusters=wakeups.queues)))
        except (Error, Unavailable) as error:
            _log.warning(Line("could not poll the queues", error=Quoted(told(error))))
        wakeups.wake_all_jobs()


async def jobs_wait(pools: ThreadPools, queue: str) -> bool:
    """Whether jobs wait for this cluster or in this pool, or the database does not say."""
    try:
        return await pools.read(partial(jobs_wait_for, queue))
    except (Error, Unavailable):
        return True


async def _follow_postgresql(wakeups: Wakeups, pools: ThreadPools) -> None:
    """One connection for the whole server, without queries while nothing happens."""
    async with await import_module("grpc_api.runtime.postgresql_probe").connect() as told:
        # Held for as long as this server runs, so that none copies the database meanwhile.
        await told.execute("SELECT pg_advisory_lock_shared(hashtext(%s))", [CHANNEL])
        await told.execute(f"LISTEN {CHANNEL}")
        # Earlier notifications are not repeated.
        wakeups.wake_all()
        while True:
            async for notice in told.notifies(timeout=PING_EVERY_SECONDS):
                _wake(wakeups, Word.of(notice.payload))
            async with asyncio.timeout(_ANSWER_SECONDS):
                await told.execute("SELECT 1")


def _wake(wakeups: Wakeups, word: Word) -> None:
    if word.jobs is None:
        wakeups.wake_all_jobs()
    forget_room()
    clusters = wakeups.queues if word.clusters is None else word.clusters
    if word.to_all:
        wakeups.wake_all_of(clusters)
    else:
        wakeups.wake(clusters)
    wakeups.wake(word.jobs or ())
    wakeups.wake([*word.agents, *word.relays])


async def _follow_sqlite(wakeups: Wakeups, pools: ThreadPools) -> None:
    """Polls the file's version while calls wait, and reads the news only when it has changed."""
    # mode=rw makes no new file where the database is gone.
    place = f"file:{quote(str(connection.settings_dict['NAME']))}?mode=rw"
    with closing(sqlite3.connect(place, uri=True, timeout=0)) as file:
        while True:
            await wakeups.until_subscribed()
            await _poll_file(file, wakeups, pools)


async def _poll_file(file: sqlite3.Connection, wakeups: Wakeups, pools: ThreadPools) -> None:
    version = _version(file)
    news = await pools.read(partial(news_since, after=None))
    # Calls may have queried before that.
    wakeups.wake_all()
    while wakeups.has_subscribers:
        await asyncio.sleep(POLL_FILE_EVERY_SECONDS)
        if version == (version := _version(file)):
            continue
        wakeups.wake_all_relays()
        began = time.monotonic()
        news = await pools.read(partial(news_since, after=news))
        wakeups.wake([*news.clusters, *news.jobs, *news.agents])
        wakeups.wake_all_of(news.may_take_others)
        await asyncio.sleep(min(REST_TIMES * (time.monotonic() - began), REST_AT_MOST_SECONDS))


def _version(file: sqlite3.Connection) -> int:
    """Changes with every commit of another connection (https://www.sqlite.org/pragma.html#pragma_data_version)."""
    return int(file.execute("PRAGMA data_version").fetchone()[0])


_WAYS: dict[str, Callable[[Wakeups, ThreadPools], Awaitable[None]]] = {
    "postgresql": _follow_postgresql,
    "sqlite": _follow_sqlite,
}
