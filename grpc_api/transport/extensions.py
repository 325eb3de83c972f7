"""Extension fields in the replies of the frozen calls: only for clients that know them.

Clients of the original protocol print fields that they do not know as raw numbers.
"""

from collections.abc import Iterable

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

# A client that knows the extensions names this key in the metadata of its calls; the value is not read.
METADATA_KEY = "rainbow-extensions"
FROZEN_RPCS = frozenset({"Register", "SubmitJob", "RequestJobs", "AcceptJobs", "Serial", "Stream"})
_FIRST_EXTENSION = 20


def extensions_in_reply(method: MethodDescriptor) -> tuple[str, ...]:
    fields = method.output_type.fields if method.name in FROZEN_RPCS else ()
    return tuple(field.name for field in fields if field.number >= _FIRST_EXTENSION)


def uses_extensions(request: Message) -> bool:
    return any(field.number >= _FIRST_EXTENSION for field, _ in request.ListFields())


def is_named_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> bool:
    return METADATA_KEY in dict(metadata or ())


def clear(reply: Message, fields: Iterable[str]) -> None:
    for name in fields:
        reply.ClearField(name)
