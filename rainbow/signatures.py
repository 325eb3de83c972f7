"""Signed jobs: a person's Ed25519 key signs what a job does, where, and until when (docs/people-at-sites.md).

What is signed is the canonical form (RFC 8785) of an object with the statement's fields and the job's. The server keeps
the signature as a text, and cannot make one.
"""

import base64
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rainbow.errors import InvalidArgument
from rainbow.job_lines import DECODER
from rainbow.specs import BESIDE_DESCRIPTION, JobDescription, Work, work_of

PURPOSE = "rainbow-job-1"
MAX_SIGNATURE = 2048
MOST_RUNS = 100
LONGEST_VALIDITY = timedelta(days=366)
LAST_MOMENT = 2**37  # in the year 6325, which `datetime` can have
# A field that a job does not say is left out, so that a later release may add one.
# The group is the server's to give.
SIGNED_FIELDS = tuple(item.name for item in fields(Work) if item.name not in (*BESIDE_DESCRIPTION, "group"))

_KEY = re.compile(r"ed25519:([A-Za-z0-9+/]{43}=)", re.ASCII)
_NONCE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_VALUE = re.compile(r"[A-Za-z0-9+/]{86}==", re.ASCII)
_NOTHING = Work(command="")


class SignatureRefused(Exception):
    """Its text says why, for the job's submitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a person signs beside the job: for which cluster or pool as its `target`, and how many attempts may run."""

    person: str
    target: str
    expires_at: int
    nonce: str
    runs: int = 1

    @property
    def ends_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires_at, UTC)


def statement(*, person: str, target: str, expires_at: datetime, runs: int = 1) -> Statement:
    """Raises InvalidArgument for one that agents would refuse."""
    if not person or not target:
        raise InvalidArgument("must not be empty", field="target" if person else "person")
    if not 1 <= runs <= MOST_RUNS:
        raise InvalidArgument(f"must be from 1 to {MOST_RUNS}", field="runs")
    return Statement(
        person=person, target=target, expires_at=int(expires_at.timestamp()), nonce=secrets.token_hex(16), runs=runs
    )


def sign(job: JobDescription, said: Statement, key: Ed25519PrivateKey) -> str:
    """Raises InvalidArgument for text that is not Unicode."""
    value = base64.b64encode(key.sign(_canonical(work_of(job), said))).decode()
    return rfc8785.dumps({**_object(said), "signature": value}).decode()


def verify(
    text: str, work: Work, *, owner: str, targets: Collection[str], keys: Iterable[str], now: datetime
) -> Statement:
    """What the owner signed. Raises SignatureRefused unless it is this work, for one of the targets, and in force."""
    said, value = _read(text)
    if said.person != owner:
        raise SignatureRefused("it is signed by another person than its owner")
    if not any(_holds(value, work, said, key) for key in keys):
        raise SignatureRefused("its signature is by none of its owner's keys at this cluster, or it was changed since")
    if said.target not in targets:
        raise SignatureRefused(f"it is signed for {said.target}, not for {' or '.join(sorted(targets))}")
    if now >= said.ends_at:
        raise SignatureRefused(f"its signature expired at {said.ends_at:%Y-%m-%d %H:%M:%S} UTC")
    if said.ends_at - now > LONGEST_VALIDITY:
        raise SignatureRefused(f"its signature is for more than {LONGEST_VALIDITY.days} days")
    return said


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as users.toml has it."""
    return f"ed25519:{base64.b64encode(key.public_key().public_bytes_raw()).decode()}"


def public_key(text: str) -> Ed25519PublicKey:
    """Raises InvalidArgument."""
    if found := _KEY.fullmatch(text):
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(found[1]))
    raise InvalidArgument("must be a public key such as `rainbow keys show` prints: ed25519: and 44 characters")


def _canonical(work: Work, said: Statement) -> bytes:
    job = {name: getattr(work, name) for name in SIGNED_FIELDS}
    told = {name: _plain(value) for name, value in job.items() if value != getattr(_NOTHING, name)}
    try:
        return rfc8785.dumps({**_object(said), "job": told})
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidArgument(f"it cannot be signed: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        # Servers keep what is said twice once.
        return list(dict.fromkeys(value))
    return value if isinstance(value, str | int) else dict(value)


def _object(said: Statement) -> dict[str, Any]:
    return {"purpose": PURPOSE, **{item.name: getattr(said, item.name) for item in fields(said)}}


def _holds(value: bytes, work: Work, said: Statement, key: str) -> bool:
    try:
        public_key(key).verify(value, _canonical(work, said))
    except (InvalidSignature, InvalidArgument):
        return False
    return True


def _read(text: str) -> tuple[Statement, bytes]:
    """The statement and its signature. Raises SignatureRefused."""
    broken = SignatureRefused("its signature is none of this kind")
    if not text:
        raise SignatureRefused("it is not signed, and this cluster runs only signed jobs")
    if len(text) > MAX_SIGNATURE:
        raise broken
    try:
        content = DECODER.decode(text)
    except (ValueError, RecursionError, InvalidArgument) as error:
        raise broken from error
    names = {item.name for item in fields(Statement)}
    if not isinstance(content, dict) or content.keys() != {*names, "purpose", "signature"}:
        raise broken
    said, value = {name: content[name] for name in names}, content["signature"]
    if (
        content["purpose"] != PURPOSE
        or not _is_sound(said)
        or not isinstance(value, str)
        or not _VALUE.fullmatch(value)
    ):
        raise broken
    return Statement(**said), base64.b64decode(value)


def _is_sound(said: dict[str, Any]) -> bool:
    numbers = all(type(said[name]) is int for name in ("expires_at", "runs"))
    texts = all(isinstance(said[name], str) for name in ("person", "target", "nonce"))
    return (
        numbers
        and texts
        and 0 <= said["expires_at"] < LAST_MOMENT
        and 1 <= said["runs"] <= MOST_RUNS
        and bool(_NONCE.fullmatch(said["nonce"]))
    )
