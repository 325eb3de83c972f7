"""A conversation in the original protocol, as bytes: recorded with one release, and repeated with another.

    python -m tests.support.conversation ADDRESS REGISTRATION_SECRET > tests/data/conversation.json

records what a server with an empty database answers. Identifiers that are random, and credentials, are written as what
they are; all else is kept byte for byte.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.wire import SERVICE

CLUSTER = "recorded"
SENT = Timestamp(seconds=1_700_000_000, nanos=5)
SATISFY = "/service.MemoryGraph/Satisfy"
# Their answers begin with one, by chance.
WITH_IDENTIFIER = frozenset({"Register", "RegisterSubsystem", "SubmitJob", "RequestJobs", "ReceiveJobs"})
# Of as many bytes as the credentials that a server gives, so that messages keep their lengths.
TOKEN, SECRET = "rbt_" + "t" * 32, "rbs_" + "s" * 32
JOBS = (
    {"name": "large", "nodes": 16, "tasks": 64, "command": "srun ./large"},
    {"name": "", "nodes": 1, "command": "echo '<a> & b' > \u2028 out"},
    {"name": "m\u00fcnchen", "nodes": 3, "tasks": 6, "command": "printf 'x\\ty'"},
    {"name": "twelve", "nodes": 12, "command": "true"},
    {"name": "two", "nodes": 2, "tasks": 2, "command": "hostname"},
    {"name": "again", "nodes": 1, "command": "true"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer, in hexadecimal; `fields` are (number, content), those of a map in their order."""

    method: str
    request: str
    code: str = "OK"
    details: str = ""
    fields: list[tuple[int, str]] = field(default_factory=list)


class Line:
    """Sends bytes, and puts a server's credentials in place of those of the record: of each cluster a token and a
    secret, in the order in which they register.
    """

    def __init__(self, channel: grpc.Channel, credentials: Sequence[tuple[str, str]] = ((TOKEN, SECRET),)) -> None:
        self._channel = channel
        self._real = {value.encode(): value.encode() for pair in credentials for value in pair}
        self._of_clusters = iter(credentials)

    def say(self, method: str, request: bytes) -> Exchange:
        path = SATISFY if method == "Satisfy" else f"{SERVICE}/{method}"
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        try:
            answer = call(self._with_credentials(request), timeout=PATIENCE_SECONDS)
        except grpc.RpcError as error:
            return Exchange(method=method, request=request.hex(), code=error.code().name, details=error.details() or "")
        if method == "Register":
            self._learn(pb.RegisterResponse.FromString(answer))
        return Exchange(method=method, request=request.hex(), fields=self._without_chance(method, answer))

    def _with_credentials(self, request: bytes) -> bytes:
        for recorded, real in self._real.items():
            request = request.replace(recorded, real)
        return request

    def _learn(self, answer: pb.RegisterResponse) -> None:
        if answer.token:
            token, secret = next(self._of_clusters)
            self._real |= {token.encode(): answer.token.encode(), secret.encode(): answer.secret.encode()}

    def _without_chance(self, method: str, answer: bytes) -> list[tuple[int, str]]:
        fields = list(fields_of(answer))
        random = {1: "a random identifier"} if method in WITH_IDENTIFIER else {}
        names = {real: recorded for recorded, real in self._real.items()}
        said = [(number, random.get(number) or names.get(content, content).hex()) for number, content in fields]
        # The order of a map is a matter of chance.
        return sorted(said) if method in ("RequestJobs", "ReceiveJobs") else said


def fields_of(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of each field; a number as the bytes that it takes (protobuf.dev, encoding)."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == 2:
            size, place = _varint(message, place)
            end = place + size
        else:
            assert tag & 7 == 0, "the frozen messages have numbers and lengths alone"
            _, end = _varint(message, place)
        yield tag >> 3, message[place:end]
        place = end


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[place] & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if message[place - 1] < 0x80:
            return value, place


def requests(registration_secret: str) -> Iterator[tuple[str, Message]]:
    """What a published client says, with frozen fields alone."""
    register = pb.RegisterRequest(name=CLUSTER, secret=registration_secret, sent=SENT)
    yield "Register", register
    yield "Register", register
    for job in JOBS:
        yield "SubmitJob", pb.SubmitJobRequest(cluster=CLUSTER, token=TOKEN, sent=SENT, **job)  # type: ignore[arg-type]
    yield "SubmitJob", pb.SubmitJobRequest(cluster=CLUSTER, token=TOKEN, sent=SENT, command="true")
    yield "SubmitJob", pb.SubmitJobRequest(cluster=CLUSTER, token=TOKEN, sent=SENT, nodes=1)
    yield "SubmitJob", pb.SubmitJobRequest(cluster=CLUSTER, token=SECRET, sent=SENT, nodes=1, command="true")
    for most in (0, 1, 3, 100, -1):
        yield "RequestJobs", pb.RequestJobsRequest(cluster=CLUSTER, secret=SECRET, maxJobs=most, sent=SENT)
    yield "RequestJobs", pb.RequestJobsRequest(cluster=CLUSTER, secret=TOKEN, sent=SENT)
    for ids in ([2, 3], [3, 4], [99], [], [5, 5]):
        yield "AcceptJobs", pb.AcceptJobsRequest(cluster=CLUSTER, secret=SECRET, jobids=ids, sent=SENT)
    yield "RequestJobs", pb.RequestJobsRequest(cluster=CLUSTER, secret=SECRET, sent=SENT)
    yield "AcceptJobs", pb.AcceptJobsRequest(cluster=CLUSTER, secret=SECRET, jobids=[1, 6], sent=SENT)
    yield "RequestJobs", pb.RequestJobsRequest(cluster=CLUSTER, secret=SECRET, sent=SENT)
    content = pb.Content(id="probe", data=AnyMessage(value=b"x"), metadata={"a": "b"})
    yield "Serial", pb.Request(content=content, sent=SENT)


def recorded(address: str, registration_secret: str) -> list[Exchange]:
    with grpc.insecure_channel(address) as channel:
        line = Line(channel)
        return [
            line.say(method, request.SerializeToString(deterministic=True))
            for method, request in requests(registration_secret)
        ]


if __name__ == "__main__":
    exchanges = recorded(*sys.argv[1:3])
    sys.stdout.write(json.dumps(list(map(asdict, exchanges)), indent=1) + "\n")
