"""What a signature covers: each field of a job that reaches a scheduler, and where and until when it may run."""

import base64
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rainbow.errors import InvalidArgument
from rainbow.signatures import (
    MAX_SIGNATURE,
    SIGNED_FIELDS,
    SignatureRefused,
    public_key,
    public_text,
    sign,
    statement,
    verify,
)
from rainbow.specs import JobSpec, Work, work_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SPEC = JobSpec(command="hostname", nodes=2, environment={"A": "1", "B": "é"}, mounts=("/a:/b",), image="debian:12")
# For each field, what a server might make of it.
CHANGES: dict[str, Any] = {
    "command": "hostname; id",
    "nodes": 3,
    "tasks": 1,
    "time_limit_seconds": 60,
    "environment": {"A": "1", "B": "é", "LD_PRELOAD": "/x"},
    "working_directory": "/tmp",
    "cores_per_task": 1,
    "gpus_per_task": 1,
    "gpu_type": "a100",
    "memory_mib_per_node": 1,
    "exclusive": True,
    "account": "other",
    "partition": "other",
    "qos": "other",
    "reservation": "other",
    "constraint": "other",
    "options_by_cluster": {"here:account": "other"},
    "image": "",
    "mounts": (),
    "start_within_seconds": 60,
    "secrets": {"A": "site:x"},
    "array_index": 0,
    "inputs": {"a": "0" * 64},
    "input_urls": {"b": "https://data.example/b#sha256=" + "0" * 64},
    "outputs": ("a",),
}


def signed(spec: JobSpec = SPEC, *, key: Ed25519PrivateKey = KEY, **more: Any) -> str:
    usual = {"person": "ada", "target": "here", "expires_at": NOW + timedelta(days=1)}
    return sign(spec, statement(**{**usual, **more}), key)


def check(text: str, work: Work | None = None, **more: Any) -> None:
    usual = {"owner": "ada", "targets": {"here", "pool"}, "keys": [public_text(OTHER), public_text(KEY)], "now": NOW}
    verify(text, work or work_of(SPEC), **{**usual, **more})


def test_what_was_signed_holds() -> None:
    check(signed())
    check(signed(target="pool"))


def test_every_field_that_reaches_a_scheduler_is_signed() -> None:
    beside = {"owner", "project", "run_as", "signature", "secret_values", "staged", "group"}
    assert set(SIGNED_FIELDS) == set(CHANGES) == {item.name for item in fields(Work)} - beside


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_field_is_noticed(field: str) -> None:
    with pytest.raises(SignatureRefused, match="it was changed since"):
        check(signed(), replace(work_of(SPEC), **{field: CHANGES[field]}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target", "pool"),
        ("expires_at", int(NOW.timestamp()) + 2 * 86400),
        ("nonce", "0" * 32),
        ("runs", 2),
        ("signature", base64.b64encode(bytes(64)).decode()),
    ],
)
def test_a_changed_statement_is_noticed(field: str, value: object) -> None:
    text = json.dumps({**json.loads(signed()), field: value})

    with pytest.raises(SignatureRefused, match="it was changed since"):
        check(text)


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        (signed(person="grace"), {}, "signed by another person than its owner"),
        (signed(), {"owner": "grace"}, "signed by another person than its owner"),
        (signed(key=Ed25519PrivateKey.generate()), {}, "by none of its owner's keys"),
        (signed(), {"keys": []}, "by none of its owner's keys"),
        (signed(target="there"), {}, "signed for there, not for here or pool"),
        (signed(), {"now": NOW + timedelta(days=1)}, "expired at 2026-11-29 00:00:00 UTC"),
        (signed(expires_at=NOW + timedelta(days=400)), {}, "for more than 366 days"),
        ("", {}, "it is not signed"),
    ],
)
def test_the_reason_says_what_is_wrong(text: str, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(SignatureRefused, match=reason):
        check(text, **more)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "7",
        '"a"',
        "[" * 2000,
        "\ud800",
        "x" * (MAX_SIGNATURE + 1),
        json.dumps({**json.loads(signed()), "more": 1}),
        json.dumps({**json.loads(signed()), "runs": True}),
        json.dumps({**json.loads(signed()), "runs": 101}),
        json.dumps({**json.loads(signed()), "expires_at": 10**30}),
        json.dumps({**json.loads(signed()), "expires_at": 1.5}),
        json.dumps({**json.loads(signed()), "nonce": "0"}),
        json.dumps({**json.loads(signed()), "person": None}),
        json.dumps({**json.loads(signed()), "purpose": "rainbow-job-2"}),
        json.dumps({**json.loads(signed()), "signature": "é"}),
        signed().replace('"runs":1', '"runs":1,"runs":1'),
    ],
)
def test_a_text_that_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(SignatureRefused, match="none of this kind"):
        check(text)


def test_it_is_the_canonical_form_that_is_signed() -> None:
    """For programs that sign without this client: RFC 8785 of the statement, and of what the job says."""
    text = signed(JobSpec(command="true", nodes=2, environment={"b": "2", "a": "1"}))
    content = json.loads(text)
    value = base64.b64decode(content.pop("signature"))

    KEY.public_key().verify(
        value,
        rfc8785.dumps({**content, "job": {"command": "true", "nodes": 2, "environment": {"a": "1", "b": "2"}}}),
    )
    assert content.keys() == {"purpose", "person", "target", "expires_at", "nonce", "runs"}


def test_text_that_is_no_unicode_cannot_be_signed() -> None:
    with pytest.raises(InvalidArgument, match="cannot be signed"):
        signed(JobSpec(command="\ud800"))


@pytest.mark.parametrize(
    "text",
    ["", "ed25519:", "ed25519:" + "A" * 44, "ssh-ed25519 AAAA", pytest.param(public_text(KEY) + "\n", id="a line")],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="must be a public key"):
        public_key(text)
