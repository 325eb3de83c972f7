"""The connection to the server: name resolution, TCP, TLS."""

import socket
import ssl
from contextlib import closing

from rainbow.address import place
from rainbow.config import Settings
from rainbow.doctor.findings import CheckFailed
from rainbow.errors import why
from rainbow.tls import Tls

SECONDS = 5.0


def resolve(known: Settings) -> str:
    host, port = place(known.host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        advice = "Check --host or RAINBOW_HOST, and this machine's DNS (getent hosts, /etc/resolv.conf)."
        raise CheckFailed(f"{host}: {error.strerror}", advice=advice) from error
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return f"{host} is {', '.join(addresses)}"


def connect(known: Settings) -> str:
    with closing(_connected(known)) as connection:
        address, port = connection.getpeername()[:2]
    return f"{address} port {port} answers"


def shake_hands(known: Settings) -> str:
    if not known.tls:
        return "none: credentials travel readable, unless a tunnel protects them"
    host, _ = place(known.host)
    context = _context(known)
    try:
        with closing(_connected(known)) as connection, context.wrap_socket(connection, server_hostname=host) as secure:
            certificate = secure.getpeercert() or {}
            version = secure.version()
    except ssl.SSLError as error:
        if isinstance(error, ssl.SSLCertVerificationError):
            advice = "Check that --ca-file holds its authority's certificate, and that --host is a name in its own."
            raise CheckFailed(f"its certificate is not trusted: {error.verify_message}", advice=advice) from error
        advice = "If the server speaks no TLS, use --no-tls, or RAINBOW_TLS=no; credentials then travel readable."
        raise CheckFailed(f"{known.host} does not answer in TLS", advice=advice) from error
    except OSError as error:
        advice = "Check that the server speaks TLS; if it does not, use --no-tls, or RAINBOW_TLS=no."
        raise CheckFailed(f"the TLS handshake failed: {why(error)}", advice=advice) from error
    return f"{version}, the certificate is valid until {certificate.get('notAfter', 'an unknown time')}"


def _context(known: Settings) -> ssl.SSLContext:
    """Without the client's own certificate, which a check of its own examines."""
    try:
        return Tls(on=True, ca_file=known.ca_file).context()
    except OSError as error:
        reason = "it holds no certificates in PEM" if isinstance(error, ssl.SSLError) else why(error)
        advice = "Check --ca-file or RAINBOW_CA_FILE."
        raise CheckFailed(f"cannot use {known.ca_file}: {reason}", advice=advice) from error


def _connected(known: Settings) -> socket.socket:
    host, port = place(known.host)
    try:
        return socket.create_connection((host, port), timeout=SECONDS)
    except OSError as error:
        advice = "Check that the server runs and that a firewall lets this machine out to that port."
        raise CheckFailed(f"{known.host} cannot be reached: {why(error)}", advice=advice) from error
