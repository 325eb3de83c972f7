"""Reading requests: bounded before they are decoded, and the large ones decoded off the event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import Message

from grpc_api.rpcs.call import Call
from grpc_api.transport.formats import Format
from grpc_api.transport.scanning import bytes_of_field, count_fields
from grpc_api.transport.shedding import Share
from rainbow.errors import InvalidArgument, Unimplemented

# Messages of up to this size are decoded on the event loop, in a millisecond at most.
SMALL_BYTES = 16 * 1024
# What gzip begins with (RFC 1952). No message does: as protobuf it is a field of a wire type that does not exist.
_GZIP = b"\x1f\x8b"


class Requests:
    """Reads requests. Large ones are decoded one at a time in a thread, so that they do not delay small ones.

    `admit` raises Unauthenticated unless the call's bearer is a credential.
    """

    def __init__(self, *, admit: Callable[[Call], Awaitable[None]]) -> None:
        self._admit = admit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    async def only(self, form: Format, context: Any, call: Call, share: Share) -> Message:
        """Raises InvalidArgument, Unimplemented, Unauthenticated and Overloaded."""
        message = await self._next(form, context, call, share)
        if message is None:
            raise InvalidArgument(f"{form.name} takes a request, and the call brought none")
        return message

    async def each(self, form: Format, context: Any, call: Call, share: Share) -> AsyncIterator[Message]:
        while (message := await self._next(form, context, call, share)) is not None:
            yield message
            # The next one may be long in coming, and what is let go is counted no longer.
            del message
            share.let_go()
            # Each message has a credential of its own, or none.
            if not form.limit.bearer:
                share.wait_for_message()

    def close(self) -> None:
        self._thread.shutdown()

    async def _next(self, form: Format, context: Any, call: Call, share: Share) -> Message | None:
        data = await context.read()
        return None if data is grpc.aio.EOF else await self._request(form, data, call, share)

    async def _request(self, form: Format, data: bytes, call: Call, share: Share) -> Message:
        share.has_message()
        if data.startswith(_GZIP):
            raise Unimplemented("this server takes no compressed requests; send them without compression")
        if len(data) <= SMALL_BYTES:
            return form.decode(data)
        return await self._decoded(form, data, call, share)

    async def _decoded(self, form: Format, data: bytes, call: Call, share: Share) -> Message:
        size, most = len(data), form.limit.size
        if size > most:
            raise InvalidArgument(f"the request has {size:,} bytes; {form.name} takes at most {most:,}")
        await share.hold_as_stranger(size)
        if form.limit.bearer:
            await self._admit(call)
            await share.hold_as_known(size)
        return await asyncio.get_running_loop().run_in_executor(self._thread, _decode_large, form, data)


def _decode_large(form: Format, data: bytes) -> Message:
    limit = form.limit
    # Decoded, an element takes a hundred bytes, though it may be two on the wire.
    most = 2 * limit.elements
    if form.repeated and count_fields(data, form.repeated, most=most) > most:
        raise InvalidArgument(f"must be at most {limit.elements:,}", field=limit.repeated)
    if form.part and bytes_of_field(data, form.part) > limit.part_size:
        raise InvalidArgument(f"must be at most {limit.part_size:,} bytes", field=limit.part)
    return form.decode_large(data)
