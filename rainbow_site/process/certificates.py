import ssl
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from rainbow.certificates import no_password
from rainbow_site.environment import WrongSetting

_CERT, _KEY = "RAINBOW_TLS_CERT", "RAINBOW_TLS_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths of PEM files, all empty without TLS."""

    cert: str = ""
    key: str = ""

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

    def stamps(self) -> tuple[tuple[int, ...], ...]:
        """Differ once a file was written, replaced, or reached by another symbolic link."""
        return tuple(_stamp(path) for path in (self.cert, self.key))


def configured_files() -> TlsFiles:
    return TlsFiles(cert=settings.RAINBOW_TLS_CERT, key=settings.RAINBOW_TLS_KEY)


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
