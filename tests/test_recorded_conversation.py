"""What a release before this one answered to clients of both generations of the original protocol, this one answers
byte for byte.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from tests.support.conversation import Exchange, Line
from tests.support.later_conversation import CREDENTIALS
from tests.support.servers import RainbowServer

DATA = Path(__file__).with_name("data")
REGISTRATION_SECRET = "only-for-the-record"


def exchanges(name: str = "conversation.json") -> list[Exchange]:
    read: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return [Exchange(**{**one, "fields": [tuple(field) for field in one["fields"]]}) for one in read]


def test_the_record_has_all_calls_and_refusals() -> None:
    said = exchanges()

    assert {one.method for one in said} == {"Register", "SubmitJob", "RequestJobs", "AcceptJobs", "Serial"}
    assert {one.code for one in said} == {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"}


def test_a_recorded_conversation_is_repeated_byte_for_byte(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(environment={"RAINBOW_REGISTRATION_SECRET": REGISTRATION_SECRET})
    with grpc.insecure_channel(server.address) as channel:
        line = Line(channel)
        for recorded in exchanges():
            assert line.say(recorded.method, bytes.fromhex(recorded.request)) == recorded


def test_what_the_published_client_of_the_later_generation_said_is_answered_as_recorded(
    start_server: Callable[..., RainbowServer],
) -> None:
    said = exchanges("later_conversation.json")
    environment = {"RAINBOW_REGISTRATION_SECRET": REGISTRATION_SECRET, "RAINBOW_MEMORY_GRAPH": "true"}
    server = start_server(environment=environment)
    with grpc.insecure_channel(server.address) as channel:
        line = Line(channel, CREDENTIALS)
        for recorded in said:
            assert line.say(recorded.method, bytes.fromhex(recorded.request)) == recorded

    assert {one.method for one in said} == {
        "Register", "RegisterSubsystem", "UpdateState", "Satisfy", "SubmitJob", "ReceiveJobs", "AcceptJobs",
    }  # fmt: skip
    assert {one.code for one in said} == {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"}
