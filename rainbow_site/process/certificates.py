import ssl
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from rainbow.certificates import NO_KEY_OF_GRPC, key_fits_grpc, no_password
from rainbow_site.environment import WrongSetting

_CERT, _KEY, _CLIENT_CA = "RAINBOW_TLS_CERT", "RAINBOW_TLS_KEY", "RAINBOW_TLS_CLIENT_CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths of PEM files, all empty without TLS."""

    cert: str = ""
    key: str = ""
    # The authorities of client certificates; empty where none is asked for.
    client_ca: str = ""

    def __bool__(self) -> bool:
        return bool(self.cert or self.key)

    def check(self) -> None:
        """Checks that these are a certificate and its key.

        Raises WrongSetting: a server that is configured for TLS never starts without.
        """
        if not self:
            return
        if not (self.cert and self.key):
            missing, there = (_KEY, _CERT) if self.cert else (_CERT, _KEY)
            raise WrongSetting(f"{missing}: must be set too, because {there} is; TLS takes both")
        _check_readable(_CERT, self.cert)
        _check_readable(_KEY, self.key)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, password=no_password)
        except (OSError, ValueError):
            raise WrongSetting(
                f"{_CERT}, {_KEY}: {self.cert} and {self.key} are not a certificate and its private key, both as PEM, "
                "the key without a password"
            ) from None
        if not key_fits_grpc(self.cert, self.key):
            raise WrongSetting(f"{_CERT}: the key of {self.cert} {NO_KEY_OF_GRPC}")
        if self.client_ca:
            _check_authorities(self.client_ca)

    def stamps(self) -> tuple[tuple[int, ...], ...]:
        """Differ once a file was written, replaced, or reached by another symbolic link."""
        return tuple(_stamp(path) for path in (self.cert, self.key, self.client_ca))


def configured_files() -> TlsFiles:
    return TlsFiles(
        cert=settings.RAINBOW_TLS_CERT, key=settings.RAINBOW_TLS_KEY, client_ca=settings.RAINBOW_TLS_CLIENT_CA
    )


def _check_authorities(path: str) -> None:
    _check_readable(_CLIENT_CA, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except OSError:
        raise WrongSetting(f"{_CLIENT_CA}: {path} holds no certificates as PEM") from None


def _check_readable(variable: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise WrongSetting(f"{variable}: cannot read {path}: {error.strerror}") from None


def _stamp(path: str) -> tuple[int, ...]:
    try:
        found = Path(path).stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
