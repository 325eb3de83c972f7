"""The standard services beside rainbow's own: health checking, and reflection by both of its names."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

from grpc_api.rpcs.call import Call
from grpc_api.transport.calls import SERVICE, Method, MethodFactory
from grpc_api.transport.formats import standard_format_of
from grpc_api.transport.health import HealthChecks

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]


def standard_methods(factory: MethodFactory, checks: HealthChecks) -> dict[str, Method]:
    """By path."""
    health, alpha, v1 = _HEALTH.full_name, _REFLECTION.full_name, _add_reflection_v1()
    mirror = _Reflection([SERVICE.full_name, health, alpha, v1])
    return {
        **factory.of(health, _HEALTH.methods, checks, standard_format_of),
        **factory.of(alpha, _REFLECTION.methods, mirror, standard_format_of),
        **factory.of(v1, _REFLECTION.methods, mirror, standard_format_of),
    }


class _Reflection:
    def __init__(self, services: Iterable[str]) -> None:
        self._answers: Any = aio.ReflectionServicer(tuple(services))

    def ServerReflectionInfo(self, requests: AsyncIterator[Message], call: Call) -> AsyncIterator[Message]:
        answers: AsyncIterator[Message] = self._answers.ServerReflectionInfo(requests, None)
        return answers


def _add_reflection_v1() -> str:
    """Registers reflection v1, which differs from v1alpha in its name alone; grpcio-reflection has only v1alpha."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    renamed = text_format.Parse(text_format.MessageToString(file).replace("v1alpha", "v1"), FileDescriptorProto())
    Default().AddSerializedFile(renamed.SerializeToString())
    return f"{renamed.package}.{_REFLECTION.name}"
