"""Submits the jobs of futures, with the files that they bring."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from rainbow.aio.client import AsyncClient
from rainbow.errors import DeadlineExceeded, LimitReached, RainbowError, Unavailable
from rainbow.futures.orders import Order
from rainbow.records import GroupWish, SubmitResults
from rainbow.specs import JobSpec
from rainbow.telemetry.lines import Line

JOBS_PER_CALL = 200
# Servers take messages of 4 MiB; beside what is counted a job has little.
BYTES_PER_CALL = 2 * 1024 * 1024
# Files go before the jobs, by a call of their own, within one deadline.
FILE_BYTES_PER_CALL = 16 * 1024 * 1024
SUBMITTED_WITHIN_SECONDS = 300.0
LOOK_AGAIN_SECONDS = 2.0

Answer = TypeVar("Answer")

_log = logging.getLogger("rainbow.futures")


def next_batch(waiting: deque[Order], *, most: int) -> list[Order]:
    """Takes the next orders of one group and project, as many as go into one call."""
    batch, size, file_size = list[Order](), 0, 0
    while waiting and len(batch) < min(most, JOBS_PER_CALL):
        order = waiting[0]
        size += _size_of(order)
        file_size += sum(map(len, order.files.values()))
        alike = not batch or (order.group, order.spec.project) == (batch[0].group, batch[0].spec.project)
        if batch and not (alike and size <= BYTES_PER_CALL and file_size <= FILE_BYTES_PER_CALL):
            break
        batch.append(waiting.popleft())
    return batch


async def submitted(client: AsyncClient, orders: Sequence[Order]) -> SubmitResults:
    """A result for each of a batch, in their order. A server that is away is called again, for five minutes.

    Of a group, the last order closes it, unless some are refused for now: those go into it later.
    """
    end = asyncio.get_running_loop().time() + SUBMITTED_WITHIN_SECONDS
    contents = list(dict.fromkeys(content for order in orders for content in order.files.values()))
    put = partial(client.put_inputs, contents, project=orders[0].spec.project)
    digests = dict(zip(contents, await _until(end, put), strict=True))
    specs = [_with_files(order, digests) for order in orders]
    # Each has its idempotency key: what is queued already is not queued again.
    answer = await _until(end, partial(client.submit_jobs, specs, group=_group_of(orders[0], more=True)))
    if orders[-1].group and orders[-1].is_last and not refused_for_now(answer):
        await _close(client, orders[-1], specs[-1])
    return answer


def refused_for_now(answer: SubmitResults) -> LimitReached | None:
    return next((result.error for result in answer.results if isinstance(result.error, LimitReached)), None)


async def _until(end: float, call: Callable[[], Awaitable[Answer]]) -> Answer:
    while True:
        try:
            return await call()
        except (DeadlineExceeded, Unavailable):
            if asyncio.get_running_loop().time() > end:
                raise
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _close(client: AsyncClient, last: Order, spec: JobSpec) -> None:
    """By submitting its last member once more, which its key makes no second job of."""
    try:
        await client.submit_jobs([spec], group=_group_of(last, more=False))
    except RainbowError as error:
        _log.warning(Line("a group takes further members until tomorrow", group=last.group_name, error=error))


def _group_of(order: Order, *, more: bool) -> GroupWish | None:
    return GroupWish(name=order.group_name, idempotency_key=order.group, more=more) if order.group else None


def _with_files(order: Order, digests: dict[bytes, str]) -> JobSpec:
    named = {name: digests[content] for name, content in order.files.items()}
    return replace(order.spec, inputs={**order.spec.inputs, **named})


def _size_of(order: Order) -> int:
    variables = sum(len(name) + len(value) for name, value in order.spec.environment.items())
    return len(order.spec.command) + variables + 1_000
