"""The values of credentials."""

import hashlib
import secrets

from clusters.models import CredentialKind

REQUEST_DENIED = "request denied"
# For people, and for scanners of leaked secrets.
PREFIX = {
    CredentialKind.TOKEN: "rbt_",
    CredentialKind.SECRET: "rbs_",
    CredentialKind.PERSONAL: "rbu_",
    CredentialKind.PROJECT: "rbp_",
}
_RANDOM_BYTES = 24


def new_value(kind: CredentialKind) -> str:
    return PREFIX[kind] + secrets.token_urlsafe(_RANDOM_BYTES)


def digest_of(value: str) -> str:
    """SHA-256 in hexadecimal. The values have 192 random bits, so an unsalted digest is safe."""
    return hashlib.sha256(value.encode()).hexdigest()
