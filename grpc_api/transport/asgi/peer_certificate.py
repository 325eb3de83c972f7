"""A client's certificate, from the TLS extension of ASGI, as gRPC shows it to a server."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography import x509

AuthContext = Mapping[str, list[bytes]]

_NONE: AuthContext = {}


def auth_context_in(tls: Mapping[str, Any] | None) -> AuthContext:
    """Empty where the client presented no certificate. The handshake has verified what is there."""
    chain = tls["client_cert_chain"] if tls else ()
    return _auth_context_of(chain[0]) if chain else _NONE


@lru_cache(maxsize=1_024)
def _auth_context_of(pem: str) -> AuthContext:
    """Once for all calls of a connection."""
    names = _alternative_names(pem)
    return {
        "x509_pem_cert": [pem.encode()],
        "peer_dns": [name.encode() for name in names.get_values_for_type(x509.DNSName)],
        "peer_uri": [name.encode() for name in names.get_values_for_type(x509.UniformResourceIdentifier)],
    }


def _alternative_names(pem: str) -> x509.SubjectAlternativeName:
    """None of a certificate whose names cannot be read: it is for no cluster."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return x509.SubjectAlternativeName([])
