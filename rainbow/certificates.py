"""What a certificate says of itself, by the standard library alone: it shows a parsed certificate only to the other end
of a handshake, so this makes one in memory.
"""

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_URI = "rainbow://cluster/"
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: of an expired certificate one wants to know when it expired.
_NO_CHECK_TIME = 0x200000
# The keys that BoringSSL, gRPC's own TLS, takes in handshakes; OpenSSL takes more, and certificates of those would have
# every call fail. As the AlgorithmIdentifier of the key in DER (RFC 3279, section 2.3.1, and RFC 5480, section 2.1.1).
_KEYS_OF_GRPC = {
    "RSA": bytes.fromhex("300d06092a864886f70d0101010500"),
    "P-256": bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"),
    "P-384": bytes.fromhex("301006072a8648ce3d020106052b81040022"),
}
NO_KEY_OF_GRPC = "is of a kind that gRPC does not take: use RSA, or ECDSA with one of the named curves P-256 and P-384"
# Each end speaks twice at most (RFC 8446, section 2).
_MOST_FLIGHTS = 6


class NotUsable(Exception):
    """The files are no certificate and its key, or not for this end of a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    serial: str
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    expires_at: datetime

    @property
    def clusters(self) -> frozenset[str]:
        return clusters_certified(dns_names=self.dns_names, uris=self.uris)


def clusters_certified(*, dns_names: Iterable[str], uris: Iterable[str]) -> frozenset[str]:
    """The clusters that a client certificate is for, by its alternative names: `keebler`, `rainbow://cluster/keebler`.

    Its common name says nothing (RFC 9525, section 2).
    """
    return frozenset([*dns_names, *(uri.removeprefix(_URI) for uri in uris if uri.startswith(_URI))])


def read_certificate(cert: str, key: str, *, of_server: bool) -> Certificate:
    """The first certificate of a PEM file, expired or not. Raises NotUsable, and OSError for a file it cannot read."""
    try:
        if not key_fits_grpc(cert, key):
            raise NotUsable(f"its key {NO_KEY_OF_GRPC}")
        server, client = (_context(kind, cert, key) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
        judge = client if of_server else server
        judge.verify_mode = ssl.CERT_REQUIRED
        judge.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        judge.load_verify_locations(cert)
        ends = _handshake(server, client)
    except ssl.SSLCertVerificationError as error:
        raise NotUsable(error.verify_message) from error
    except (ssl.SSLError, ValueError) as error:
        raise NotUsable("not a certificate and its private key, both as PEM, the key without a password") from error
    found = (ends[1] if of_server else ends[0]).getpeercert()
    if not found:
        raise NotUsable("no handshake can be made with it")
    return _certificate(found)


def key_fits_grpc(cert: str, key: str) -> bool:
    """Of a certificate and its key, as PEM. Raises OSError for a file it cannot read."""
    server, client = _context(ssl.PROTOCOL_TLS_SERVER, cert, key), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    try:
        found = _handshake(server, client)[1].getpeercert(binary_form=True)
    except (ssl.SSLError, ValueError):
        # Nor does OpenSSL.
        return False
    return found is not None and any(kind in found for kind in _KEYS_OF_GRPC.values())


def no_password() -> str:
    """OpenSSL would otherwise prompt on the terminal."""
    return ""


def _context(kind: int, cert: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(cert, key, password=no_password)
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = server.wrap_bio(upward, downward, server_side=True), client.wrap_bio(downward, upward)
    waiting = [ends[1], ends[0]]
    for _ in range(_MOST_FLIGHTS):
        waiting = [end for end in waiting if not _shook_hands(end)]
    return ends


def _shook_hands(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _certificate(found: Any) -> Certificate:
    return Certificate(
        serial=str(found["serialNumber"]),
        dns_names=tuple(_names(found, "DNS")),
        uris=tuple(_names(found, "URI")),
        expires_at=datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC),
    )


def _names(found: Any, kind: str) -> Iterator[str]:
    return (str(value) for known, value in found.get("subjectAltName", ()) if known == kind)
