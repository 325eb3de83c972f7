import ssl
from pathlib import Path

from rainbow_site.environment import WrongSetting

_CERT, _KEY = "RAINBOW_TLS_CERT", "RAINBOW_TLS_KEY"


def check_pair(*, cert: str, key: str) -> None:
    """Checks that these PEM files are a certificate and its key; both paths may be empty.

    Raises WrongSetting: a server that is configured for TLS never starts without.
    """
    if not cert and not key:
        return
    if not (cert and key):
        missing, there = (_KEY, _CERT) if cert else (_CERT, _KEY)
        raise WrongSetting(f"{missing}: must be set too, because {there} is; TLS takes both")
    _check_file(_CERT, cert)
    _check_file(_KEY, key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise WrongSetting(
            f"{_CERT}, {_KEY}: {cert} and {key} are not a certificate and its private key, both as PEM, "
            "the key without a password"
        ) from None


def _check_file(variable: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise WrongSetting(f"{variable}: cannot read {path}: {error.strerror}") from None


def _no_password() -> str:
    """OpenSSL would otherwise prompt on the terminal."""
    return ""
