"""Telling webhooks what is in their outboxes: each by one server at a time, in the order of the messages."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.db import Error

from grpc_api.runtime.metrics import WEBHOOK_FAILURES, WEBHOOK_MESSAGES
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import wait_for
from grpc_api.runtime.webhook_sender import NotDelivered, Sender
from jobs.services.webhooks import Batch, DueWebhook, drop_old_messages, due_webhooks, note_sent, take_batch
from rainbow.errors import Unavailable
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

_EVERY_SECONDS = 1.0
_DROP_EVERY = timedelta(hours=1)
# Receivers that are slow hold up no more than these threads, and none of the database's; those of one project fewer.
_AT_ONCE, _AT_ONCE_OF_A_PROJECT, _AT_ONCE_OF_SLOW_PROJECTS = 8, 2, 4
# A turn ends after so long: a message may take 15 seconds.
_TURN_SECONDS = 5.0
# More than a turn takes whose messages take a second each. Fast turns in between must not hide the slow ones.
_SLOW_TURN_SECONDS, _SLOW_FOR_SECONDS = 6.0, 600.0
_log = logging.getLogger("rainbow.grpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    delivered: list[int]
    failure: str = ""
    gone: bool = False


class SlowProjects:
    """Those that had a slow turn at this server within the last ten minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[int, float] = {}

    def note_turn(self, project_id: int, *, seconds: float) -> None:
        if seconds > _SLOW_TURN_SECONDS:
            self._until[project_id] = self._clock() + _SLOW_FOR_SECONDS

    def __contains__(self, project_id: int) -> bool:
        return self._clock() < self._until.get(project_id, 0.0)


async def tell_webhooks_forever(pools: ThreadPools) -> None:
    sender = Sender(private=settings.RAINBOW_WEBHOOK_PRIVATE)
    drop_at = datetime.now(UTC)
    under_way: dict[DueWebhook, asyncio.Task[None]] = {}
    slow = SlowProjects()
    more = asyncio.Event()
    threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="webhook")
    try:
        while True:
            more.clear()
            try:
                due = await pools.read(lambda: due_webhooks(now=datetime.now(UTC)))
                under_way = {webhook: task for webhook, task in under_way.items() if not task.done()}
                for webhook in due:
                    if _has_turn(webhook, under_way, slow):
                        turn = _tell(pools, threads, sender, webhook, slow, more)
                        under_way[webhook] = asyncio.create_task(turn)
                if datetime.now(UTC) >= drop_at:
                    await pools.write(partial(drop_old_messages, now=datetime.now(UTC)))
                    drop_at = datetime.now(UTC) + _DROP_EVERY
            except (Error, Unavailable) as error:
                _log.warning(Line("could not look after the webhooks", error=Quoted(told(error))))
            await wait_for(more, at_most=_EVERY_SECONDS)
    finally:
        # Without waiting for them, which would stop every call.
        threads.shutdown(wait=False, cancel_futures=True)
        for task in under_way.values():
            task.cancel()


def _has_turn(webhook: DueWebhook, under_way: Collection[DueWebhook], slow: SlowProjects) -> bool:
    projects = [other.project_id for other in under_way]
    if webhook in under_way or len(projects) >= _AT_ONCE:
        return False
    if webhook.project_id in slow and sum(project in slow for project in projects) >= _AT_ONCE_OF_SLOW_PROJECTS:
        return False
    return projects.count(webhook.project_id) < _AT_ONCE_OF_A_PROJECT


async def _tell(
    pools: ThreadPools,
    threads: ThreadPoolExecutor,
    sender: Sender,
    webhook: DueWebhook,
    slow: SlowProjects,
    more: asyncio.Event,
) -> None:
    """One turn; sets `more` where another may follow at once. What was delivered and not noted is delivered again."""
    holder = str(uuid4())
    try:
        batch = await pools.write(partial(take_batch, webhook_id=webhook.id, holder=holder, now=datetime.now(UTC)))
        if batch is None:
            return
        began = time.monotonic()
        sent = await asyncio.get_running_loop().run_in_executor(threads, send_batch, sender, batch)
        slow.note_turn(webhook.project_id, seconds=time.monotonic() - began)
        off = await pools.write(
            partial(
                note_sent,
                webhook_id=webhook.id,
                holder=holder,
                delivered=sent.delivered,
                failure=sent.failure,
                gone=sent.gone,
                now=datetime.now(UTC),
            )
        )
        WEBHOOK_MESSAGES.inc(len(sent.delivered))
        if off:
            _log.warning(Line("webhook switched off", webhook=webhook.id, reason=Quoted(off)))
        if sent.failure:
            WEBHOOK_FAILURES.inc()
            _log.info(Line("webhook failed", webhook=webhook.id, reason=Quoted(sent.failure)))
        elif sent.delivered:
            more.set()
    except (Error, Unavailable) as error:
        _log.warning(Line("could not note what a webhook was told", webhook=webhook.id, error=Quoted(told(error))))


def send_batch(sender: Sender, batch: Batch) -> Sent:
    """In their order, up to the first that is not delivered, or until the turn is over."""
    delivered: list[int] = []
    ends_at = time.monotonic() + _TURN_SECONDS
    for message in batch.messages:
        try:
            sender.send(
                url=batch.url, secret=batch.secret, uid=message.uid, timestamp=int(time.time()), body=message.body
            )
        except NotDelivered as failure:
            return Sent(delivered=delivered, failure=str(failure), gone=failure.gone)
        delivered.append(message.id)
        if time.monotonic() >= ends_at:
            break
    return Sent(delivered=delivered)
