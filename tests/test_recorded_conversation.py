"""What a release before this one answered to a client of the original protocol, this one answers byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from tests.support.conversation import Exchange, Line
from tests.support.servers import RainbowServer

RECORD = Path(__file__).with_name("data") / "conversation.json"
REGISTRATION_SECRET = "only-for-the-record"


def exchanges() -> list[Exchange]:
    read: list[dict[str, Any]] = json.loads(RECORD.read_text(encoding="utf-8"))
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
