"""Attacks by frames alone: what is sent slowly, in tiny pieces, or only to be remembered by the server."""

import asyncio
import random
from contextlib import suppress
from itertools import count

from benchmarks import frames
from benchmarks.abuse.attacks import Attack, Target, attack_by_many
from benchmarks.abuse.link import Link
from benchmarks.cases import path_of
from benchmarks.frames import Kind, Setting

_TICK_SECONDS = 0.05
_CALLS_OF_A_LINK = 60
_MOST_LATER_SECONDS = 0.1
_CANCEL = (8).to_bytes(4, "big")
_INDEXED = b"\x40"


def trickled(content: bytes) -> Attack:
    """Calls whose one message comes a byte at a time (Slowloris)."""

    async def caller(link: Link) -> None:
        streams = [await link.begin(path_of("SubmitJobs")) for _ in range(_CALLS_OF_A_LINK)]
        for place in range(len(content)):
            for stream in streams:
                await link.send(stream, content[place : place + 1], last=False)
            await asyncio.sleep(_TICK_SECONDS)

    return attack_by_many(caller)


async def trickled_headers(target: Target) -> None:
    """A header at a time, without an end."""

    async def caller(link: Link) -> None:
        await link.write(frames.frame(Kind.HEADERS, 0, 1, frames.headers(target.address, path_of("Serial"))))
        while True:
            await link.write(frames.frame(Kind.CONTINUATION, 0, 1, frames.header("x", b"")))
            await asyncio.sleep(_TICK_SECONDS)

    await attack_by_many(caller)(target)


async def empty_continuations(target: Target) -> None:
    """They count for nothing where only bytes are counted."""
    many = frames.frame(Kind.CONTINUATION, 0, 1) * 100

    async def caller(link: Link) -> None:
        await link.write(frames.frame(Kind.HEADERS, 0, 1, frames.headers(target.address, path_of("Serial"))))
        while True:
            await link.write(many)
            await asyncio.sleep(0.001)

    await attack_by_many(caller)(target)


async def empty_data(target: Target) -> None:
    async def caller(link: Link) -> None:
        stream = await link.begin(path_of("SubmitJobStream"))
        many = frames.frame(Kind.DATA, 0, stream) * 100
        while True:
            await link.write(many)
            await asyncio.sleep(0.001)

    await attack_by_many(caller)(target)


async def tables_of_headers(target: Target) -> None:
    """Each call's headers push those of the last out of the table of HPACK; the client's own may have 4 GiB."""
    announced = frames.settings({Setting.HEADER_TABLE_SIZE: 0xFFFF_FFFF})

    async def caller(link: Link) -> None:
        await link.write(announced)
        for number in count():
            further = b"".join(
                _INDEXED + frames.header(f"x{number}-{place}", b"v" * 100)[1:] for place in range(_CALLS_OF_A_LINK)
            )
            block = frames.headers(target.address, path_of("Serial")) + further
            stream = await link.begin_with(block)
            await link.send(stream, frames.message(b""), last=True)
            await link.end_of(stream)

    await attack_by_many(caller)(target)


async def cancelled_early(target: Target) -> None:
    """Calls that are given up within 100 ms, while the server is at work for them."""

    async def caller(link: Link) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLS_OF_A_LINK):
                group.create_task(until_it_hangs_up(link))

    async def until_it_hangs_up(link: Link) -> None:
        with suppress(ConnectionError):
            await give_up_again_and_again(link)

    async def give_up_again_and_again(link: Link) -> None:
        while True:
            stream = await link.begin(path_of("ListJobs"), bearer=target.token)
            await link.send(stream, frames.message(b""), last=True)
            await asyncio.sleep(random.uniform(0, _MOST_LATER_SECONDS))
            await link.write(frames.frame(Kind.RST_STREAM, 0, stream, _CANCEL))
            link.forget(stream)

    await attack_by_many(caller)(target)


def idle_links(number: int) -> Attack:
    """Connections that are kept and not used."""

    async def caller(link: Link) -> None:
        await link.closed.wait()

    return attack_by_many(caller, number=number)
