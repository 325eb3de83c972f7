"""A client that knows nothing but the contract's tables: its messages are built from them, its calls are bytes."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, timestamp_pb2
from google.protobuf.message_factory import GetMessageClassesForFiles

from tests.support import contract
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer

MESSAGES_OF = {name: (request, response) for name, request, response, _ in contract.RPCS}


class TablesClient:
    """Calls the server by the paths and messages of the tables."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        pool = descriptor_pool.DescriptorPool()
        for known in (any_pb2, timestamp_pb2):
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(known.DESCRIPTOR.serialized_pb))
        file = contract.file_of_the_tables()
        pool.Add(file)
        self._messages = GetMessageClassesForFiles([file.name], pool)

    def call(self, rpc: str, **fields: Any) -> Any:
        request, response = MESSAGES_OF[rpc]
        method = self._channel.unary_unary(
            f"/{contract.PACKAGE}.{contract.SERVICE}/{rpc}",
            request_serializer=self.kind(request).SerializeToString,
            response_deserializer=self.kind(response).FromString,
        )
        return method(self.kind(request)(**fields), timeout=PATIENCE_SECONDS)

    def stream(self, *ids: str) -> list[Any]:
        method = self._channel.stream_stream(
            f"/{contract.PACKAGE}.{contract.SERVICE}/Stream",
            request_serializer=self.kind("Request").SerializeToString,
            response_deserializer=self.kind("Response").FromString,
        )
        return list(method(iter([self.kind("Request")(content={"id": id}) for id in ids]), timeout=PATIENCE_SECONDS))

    def kind(self, name: str) -> Any:
        return self._messages[f"{contract.PACKAGE}.{name}"]

    def result(self, message: str, name: str) -> int:
        return contract.values_of(message)[name]


@pytest.fixture
def client(server: RainbowServer) -> Iterator[TablesClient]:
    with grpc.insecure_channel(server.address) as channel:
        yield TablesClient(channel)


def test_a_client_of_the_tables_alone_registers_submits_requests_and_accepts(
    client: TablesClient, server: RainbowServer
) -> None:
    name = "built-from-the-tables"

    new = client.call("Register", name=name, secret=server.registration_secret)
    submitted = client.call("SubmitJob", cluster=name, token=new.token, nodes=2, tasks=4, command="echo hello")
    found = client.call("RequestJobs", cluster=name, secret=new.secret, maxJobs=10)
    accepted = client.call("AcceptJobs", cluster=name, secret=new.secret, jobids=list(found.jobs))
    left = client.call("RequestJobs", cluster=name, secret=new.secret)

    assert new.status == client.result("RegisterResponse", "REGISTER_SUCCESS")
    assert submitted.status == client.result("SubmitJobResponse", "SUBMIT_SUCCESS")
    assert found.status == client.result("RequestJobsResponse", "REQUEST_JOBS_SUCCESS")
    assert json.loads(found.jobs[submitted.jobid])["command"] == "echo hello"
    assert accepted.status == client.result("AcceptJobsResponse", "RESULT_TYPE_SUCCESS")
    assert left.status == client.result("RequestJobsResponse", "REQUEST_JOBS_NORESULTS")


def test_a_client_of_the_tables_alone_tests_its_connection(client: TablesClient) -> None:
    once = client.call("Serial", content={"id": "one", "metadata": {"a": "b"}})
    many = client.stream("first", "second")

    assert (once.request_id, once.message_count, once.processing_details) == ("one", 1, "processed successfully")
    assert [(reply.request_id, reply.messages_processed) for reply in many] == [("first", 1), ("second", 2)]
