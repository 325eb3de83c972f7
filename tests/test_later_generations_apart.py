"""Thousands of messages of both generations are told apart; `make test-long` makes a hundred thousand."""

from random import Random
from typing import Any

import pytest
from hypothesis import settings

from grpc_api.later import later_pb2 as later
from grpc_api.later.generations import decode_registration, decode_submission
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb

NUMBER = 100 * settings().max_examples
TEXTS = ("", "a", "keebler", "rainbow", "chocolate-cookies", "\n", "\t12", "x" * 300, "é", "{}", "1")


def text(random: Random) -> str:
    return random.choice(TEXTS) + "".join(chr(random.randint(1, 0x2FF)) for _ in range(random.randint(0, 6)))


def sent(random: Random, message: Any) -> Any:
    if random.random() < 0.7:
        message.sent.seconds = random.choice((0, 1, 8, 16, random.randint(0, 2**31)))
        message.sent.nanos = random.choice((0, random.randint(0, 999_999_999)))
    return message


def first_submission(random: Random) -> pb.SubmitJobRequest:
    message = pb.SubmitJobRequest(
        name=text(random),
        cluster=text(random),
        token=text(random),
        nodes=random.choice((0, 1, 7, 2**31 - 1, -1)),
        tasks=random.choice((0, 1, 64)),
        command=text(random) or "true",
    )
    if random.random() < 0.3:
        message.labels[text(random)] = text(random)
        message.priority = random.randint(-100, 100)
    return sent(random, message)  # type: ignore[no-any-return]


def later_submission(random: Random) -> later.SubmitJobRequest:
    message = later.SubmitJobRequest(
        name=text(random),
        jobspec=text(random) or "version: 1",
        select_algorithm=random.choice(("", "random", "constraint", text(random))),
        satisfy_only=random.random() < 0.5,
        select_options={text(random): text(random) for _ in range(random.randint(0, 2))},
    )
    for _ in range(random.randint(0, 4)):
        message.clusters.add(name=text(random), token=text(random))
    return sent(random, message)  # type: ignore[no-any-return]


def first_registration(random: Random) -> pb.RegisterRequest:
    return sent(random, pb.RegisterRequest(name=text(random), secret=text(random)))  # type: ignore[no-any-return]


def later_registration(random: Random) -> later.RegisterRequest:
    nodes = random.choice(('{"graph": {}}', "[1]", "not a graph", ' {"graph": {"nodes": {}}}', "\n{}", "nodes"))
    message = later.RegisterRequest(name=text(random), secret=text(random), nodes=nodes)
    if random.random() < 0.3:
        message.subsystem = text(random)
    return sent(random, message)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("decode", "make"),
    [
        (decode_submission, first_submission),
        (decode_submission, later_submission),
        (decode_registration, first_registration),
        (decode_registration, later_registration),
    ],
)
def test_a_message_is_decoded_as_what_it_is(decode: Any, make: Any) -> None:
    random = Random(7)
    for _ in range(NUMBER):
        message = make(random)
        assert decode(message.SerializeToString()) == message


def test_a_first_submission_without_a_command_is_answered_as_one() -> None:
    """So that it is told what is missing."""
    request = pb.SubmitJobRequest(name="a", cluster="keebler", token="t", nodes=1)

    assert decode_submission(request.SerializeToString()) == request
    assert decode_submission(b"") == pb.SubmitJobRequest()


def test_bytes_of_neither_are_refused() -> None:
    for data in (b"\xff", b"\x0a\x05a", bytes(range(64))):
        with pytest.raises(InvalidArgument):
            decode_submission(data)
        with pytest.raises(InvalidArgument):
            decode_registration(data)
