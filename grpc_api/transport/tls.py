from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc

from rainbow.certificates import clusters_certified
from rainbow_site.process.certificate_watch import CertificateWatch
from rainbow_site.process.certificates import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Pem:
    """`client_ca` are the authorities of client certificates; empty where none is asked for."""

    cert: bytes
    key: bytes = field(repr=False)
    client_ca: bytes = b""


Certificate = CertificateWatch[Pem]


def pem_in(files: TlsFiles) -> Pem:
    return Pem(
        cert=Path(files.cert).read_bytes(),
        key=Path(files.key).read_bytes(),
        client_ca=Path(files.client_ca).read_bytes() if files.client_ca else b"",
    )


def credentials_from(certificate: Certificate, *, of_clients_too: bool) -> grpc.ServerCredentials:
    """Credentials whose files are the watch's at each new connection.

    `of_clients_too`: each client needs a certificate. gRPC for Python cannot ask for one and go on without.
    """
    in_use = certificate.current

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """gRPC calls this for each connection, one at a time; None changes nothing."""
        nonlocal in_use
        if certificate.current is in_use:
            return None
        in_use = certificate.current
        return _configuration_of(in_use)

    # The published types do not know that None is allowed.
    return grpc.dynamic_ssl_server_credentials(_configuration_of(in_use), fetch, of_clients_too)  # type: ignore[arg-type]


def _configuration_of(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.cert)], root_certificates=pem.client_ca or None)


class Authenticated(Protocol):
    def auth_context(self) -> Mapping[str, Iterable[bytes]]: ...


def clusters_certified_by(connection: Authenticated) -> frozenset[str] | None:
    """None where the client has no certificate."""
    peer = connection.auth_context()
    if "x509_pem_cert" not in peer:
        return None
    return clusters_certified(dns_names=_texts(peer.get("peer_dns")), uris=_texts(peer.get("peer_uri")))


def _texts(values: Any) -> list[str]:
    return [value.decode(errors="replace") for value in values or ()]
