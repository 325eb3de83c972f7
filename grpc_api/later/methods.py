"""The paths of the later generation, and those on which it meets the first."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from grpc_api.later import later_pb2 as later
from grpc_api.later.generations import decode_registration, decode_submission
from grpc_api.later.rpcs import LaterRpcs, MemoryGraph
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.server_state import ServerState
from grpc_api.rpcs.servicer import RainbowServicer
from grpc_api.transport.calls import SERVICE, Method, MethodFactory
from grpc_api.transport.decoding import decode_standard
from grpc_api.transport.extensions import clear, extensions_in_reply, uses_extensions
from grpc_api.transport.formats import Format, Limit, format_of
from grpc_api.transport.metrics import MethodMetrics

_KIB = 1024
_LATER = later.DESCRIPTOR.services_by_name["Later"]
_MEMORY_GRAPH, _GRAPH_METHODS = "service.MemoryGraph", later.DESCRIPTOR.services_by_name["MemoryGraph"].methods
# Its messages bring their credentials. Graphs are long.
LIMITS = {
    "RegisterSubsystem": Limit(size=1024 * _KIB, bearer=False),
    "UpdateState": Limit(bearer=False),
    "ReceiveJobs": Limit(bearer=False),
    "Delete": Limit(bearer=False),
    "DeleteSubsystem": Limit(bearer=False),
    "Satisfy": Limit(size=128 * _KIB, bearer=False),
}
_MEETING: Mapping[str, Callable[[bytes], Message]] = {"Register": decode_registration, "SubmitJob": decode_submission}


def later_methods(
    factory: MethodFactory,
    servicer: RainbowServicer,
    state: ServerState,
    registration_secret: str,
    *,
    memory_graph: bool,
) -> dict[str, Method]:
    """By path; Register and SubmitJob answer both generations. `memory_graph`: also service.MemoryGraph."""
    rpcs = LaterRpcs(state, registration_secret=registration_secret)
    own = [method for method in _LATER.methods if method.name not in _MEETING]
    meeting = [method for method in SERVICE.methods if method.name in _MEETING]
    both = _Both(servicer, rpcs)
    graph = factory.of(_MEMORY_GRAPH, _GRAPH_METHODS, MemoryGraph(state), _format_of) if memory_graph else {}
    return {
        **factory.of(SERVICE.full_name, own, rpcs, _format_of),
        **factory.of(SERVICE.full_name, meeting, both, _meeting_format_of),
        **graph,
    }


class _Both:
    def __init__(self, first: RainbowServicer, rpcs: LaterRpcs) -> None:
        self._first = first
        self._later = rpcs
        self._hidden = {method.name: extensions_in_reply(method) for method in SERVICE.methods}

    async def Register(self, request: Any, call: Call) -> Message:
        if isinstance(request, later.RegisterRequest):
            return await self._later.Register(request, call)
        return self._shown("Register", await self._first.Register(request, call), request, call)

    async def SubmitJob(self, request: Any, call: Call) -> Message:
        if isinstance(request, later.SubmitJobRequest):
            return await self._later.SubmitJob(request, call)
        return self._shown("SubmitJob", await self._first.SubmitJob(request, call), request, call)

    def _shown(self, name: str, reply: Message, request: Message, call: Call) -> Message:
        """Only replies of the first generation have fields that are hidden from some clients."""
        if not (call.knows_extensions or uses_extensions(request)):
            clear(reply, self._hidden[name])
        return reply


def _format_of(method: MethodDescriptor) -> Format:
    read = partial(decode_standard, GetMessageClass(method.input_type))
    return Format(
        name=method.name,
        metrics=MethodMetrics(method.name),
        limit=LIMITS[method.name],
        decode=read,
        decode_large=read,
    )


def _meeting_format_of(method: MethodDescriptor) -> Format:
    decode = _MEETING[method.name]
    return replace(format_of(method), decode=decode, decode_large=decode, extensions=())
