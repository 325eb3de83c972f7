"""The certificate that the gRPC server shows."""

import ssl
from pathlib import Path

import grpc

from rainbow_site.environment import WrongSetting

_CERT, _KEY = "RAINBOW_TLS_CERT", "RAINBOW_TLS_KEY"


def credentials_from(*, cert: str, key: str) -> grpc.ServerCredentials | None:
    """What serves TLS with the PEM files at these paths; None, without TLS, when both are empty.

    Raises WrongSetting: a server that was meant to encrypt never starts without.
    """
    if not cert and not key:
        return None
    if not (cert and key):
        missing, there = (_KEY, _CERT) if cert else (_CERT, _KEY)
        raise WrongSetting(f"{missing}: must be set too, because {there} is; TLS takes both")
    chain, private_key = _read(_CERT, cert), _read(_KEY, key)
    _check_pair(cert, key)
    return grpc.ssl_server_credentials([(private_key, chain)])


def _read(variable: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WrongSetting(f"{variable}: cannot read {path}: {error.strerror}") from None


def _check_pair(cert: str, key: str) -> None:
    """gRPC would only say that it cannot listen."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise WrongSetting(
            f"{_CERT}, {_KEY}: {cert} and {key} are not a certificate and its private key, both as PEM, "
            "the key without a password"
        ) from None


def _no_password() -> str:
    """Without this, OpenSSL would ask whoever sits at the terminal."""
    return ""
