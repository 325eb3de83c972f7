"""How a client's connection is encrypted, and by which files."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from rainbow.certificates import NO_KEY_OF_GRPC, key_fits_grpc, no_password
from rainbow.errors import InvalidArgument, why

File = Path | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """`ca_file` has PEM certificates to trust in place of the system's; the other two are the client's own.

    Naming any turns TLS on.
    """

    on: bool = False
    ca_file: File = None
    cert_file: File = None
    key_file: File = None

    def __bool__(self) -> bool:
        return bool(self.on or self._files)

    def stamps(self) -> tuple[tuple[int, ...], ...]:
        """Differ once a file was replaced or written."""
        return tuple(_stamp(file) for file in self._files)

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises InvalidArgument where a file is not usable."""
        key, cert = self._pair() or (None, None)
        return grpc.ssl_channel_credentials(_authorities(self.ca_file) if self.ca_file else None, key, cert)

    def context(self) -> ssl.SSLContext:
        """The same for a connection without gRPC. Raises OSError, of which ssl.SSLError is one."""
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.set_alpn_protocols(["h2"])
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file, password=no_password)
        return context

    @property
    def _files(self) -> tuple[Path | str, ...]:
        return tuple(file for file in (self.ca_file, self.cert_file, self.key_file) if file)

    def _pair(self) -> tuple[bytes, bytes] | None:
        if not (self.cert_file or self.key_file):
            return None
        if not (self.cert_file and self.key_file):
            missing, there = ("key_file", "cert_file") if self.cert_file else ("cert_file", "key_file")
            raise InvalidArgument(f"must be named too, because {there} is", field=missing)
        cert, key = _read(self.cert_file, field="cert_file"), _read(self.key_file, field="key_file")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(self.cert_file, self.key_file, password=no_password)
        except (OSError, ValueError) as error:
            words = "are not a certificate and its private key, both as PEM, the key without a password"
            raise InvalidArgument(f"{self.cert_file} and {self.key_file} {words}", field="cert_file") from error
        if not key_fits_grpc(str(self.cert_file), str(self.key_file)):
            raise InvalidArgument(f"the key of {self.cert_file} {NO_KEY_OF_GRPC}", field="cert_file")
        return key, cert


def _authorities(file: Path | str) -> bytes:
    content = _read(file, field="ca_file")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as error:
        raise InvalidArgument(f"{file} holds no certificates in PEM", field="ca_file") from error
    return content


def _read(file: Path | str, *, field: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"cannot read {file}: {why(error)}", field=field) from error


def _stamp(file: Path | str) -> tuple[int, ...]:
    try:
        found = Path(file).stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
