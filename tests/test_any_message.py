"""Whatever message or bytes a call brings, the server does not fail."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rainbow.protos import rainbow_pb2 as pb
from tests.support.servers import RainbowServer
from tests.support.wire import METHODS, SERVICE, UNARY, Metadata, Remote, joined

INT_MAX, INT_MIN = 2**31 - 1, -(2**31)


NEVER = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)


FEW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def anything(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    """Messages of this type with any fields."""
    fields = {field.name: any_value(field) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: GetMessageClass(descriptor)(**chosen))


def any_value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        return st.dictionaries(any_text(), any_one(field.message_type.fields_by_name["value"]), max_size=3)
    one = any_one(field)
    return st.lists(one, max_size=4) if field.is_repeated else one


def any_one(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type:
        return anything(field.message_type)
    numbers = st.integers(INT_MIN, INT_MAX)
    return {
        FieldDescriptor.TYPE_STRING: any_text(),
        FieldDescriptor.TYPE_INT32: st.integers(-2, 12) | numbers,
        FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.TYPE_DOUBLE: st.floats(),
        FieldDescriptor.TYPE_ENUM: st.integers(0, 8) | numbers,
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    }[field.type]


def any_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
        ["a", "/a", "default", "\0"]
    )


def filled_in(remote: Remote, message: Any) -> tuple[Message, Metadata]:
    """The message with good credentials, so that it comes further than to the door."""
    names = {field.name for field in message.DESCRIPTOR.fields}
    if "cluster" in names:
        message.cluster = remote.name
    for name in names & {"token", "secret"} - ({"secret"} if isinstance(message, pb.RegisterRequest) else set()):
        setattr(message, name, getattr(remote, name))
    # A call that waits is answered half a second before its client gives up.
    return message, remote.by_token if isinstance(message, pb.SubmitJobsRequest) else remote.by_secret


@pytest.mark.parametrize("call", UNARY)
def test_no_message_makes_the_server_fail(remote: Remote, call: str) -> None:
    @FEW
    @given(anything(METHODS[call].input_type), st.booleans())
    def check(message: Message, known: bool) -> None:
        if call == "RotateCredential" and known:
            return  # the others need the credentials
        message, metadata = filled_in(remote, message) if known else (message, ())
        assert code_of(getattr(remote.stub, call), message, metadata) not in NEVER

    check()


@pytest.mark.parametrize("call", UNARY)
def test_no_bytes_make_the_server_fail(remote: Remote, server: RainbowServer, call: str) -> None:
    kind = GetMessageClass(METHODS[call].input_type)

    with grpc.insecure_channel(server.address) as channel:
        method = channel.unary_unary(f"{SERVICE}/{call}")

        @FEW
        @given(st.binary(max_size=60), st.binary(max_size=60), st.booleans())
        def check(before: bytes, after: bytes, sensible: bool) -> None:
            message, metadata = filled_in(remote, kind())
            middle = message.SerializeToString() if sensible else b""
            assert code_of(method, before + middle + after, metadata) not in NEVER

        check()


def test_no_rotation_makes_the_server_fail(server: RainbowServer) -> None:
    @FEW
    @given(anything(pb.RotateCredentialRequest.DESCRIPTOR))
    def check(message: Message) -> None:
        with joined(server) as cluster:
            message, metadata = filled_in(cluster, message)
            assert code_of(cluster.stub.RotateCredential, message, metadata) not in NEVER

    check()


def code_of(method: Any, request: Any, metadata: Metadata) -> grpc.StatusCode:
    try:
        return method.with_call(request, timeout=0.6, metadata=metadata)[1].code()
    except grpc.RpcError as error:
        return error.code()
