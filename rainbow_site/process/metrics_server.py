"""Starting the process that answers scrapes, beside those whose metrics it gathers."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from rainbow.scrape_token import read_token
from rainbow_site.process.children import Child
from rainbow_site.process.reach import is_loopback
from rainbow_site.process.readiness import database_file
from rainbow_site.process.sockets import CannotListen, listen

# A Unix socket's path has at most 107 bytes (unix(7)); the longest name in the folder is that of a web process.
_LONGEST_FOLDER = 107 - len("/web-1000")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsServer:
    """`folder` is where the other processes publish their metrics; None, and no `children`, when metrics are off."""

    folder: Path | None = None
    children: Sequence[Child] = ()

    def options_of(self, process: str) -> list[str]:
        """The command-line options of a process that publishes its metrics under this name."""
        return socket_options(self.folder, process)


def socket_options(folder: Path | None, process: str) -> list[str]:
    return ["--metrics-socket", str(folder / process)] if folder else []


@contextmanager
def metrics_server() -> Iterator[MetricsServer]:
    """Listens at RAINBOW_METRICS_ADDRESS, if that is set. Raises CannotListen."""
    address = settings.RAINBOW_METRICS_ADDRESS
    if not address:
        yield MetricsServer()
        return
    check_protection(address, token_file=settings.RAINBOW_METRICS_TOKEN_FILE)
    with listen(address) as listener, _folder_of_sockets() as folder:
        words = ["--listener", str(listener.fileno()), "--folder", folder, "--database-file", database_file()]
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "metricsworker", *words]
        child = Child(name="metrics server", command=command, files=[listener.fileno()], restarts=True, needed=False)
        yield MetricsServer(folder=Path(folder), children=[child])


def _folder_of_sockets() -> tempfile.TemporaryDirectory[str]:
    """Only this account can enter it, and so connect to the sockets in it."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="rainbow-metrics-")
    except OSError as error:
        raise CannotListen(f"RAINBOW_METRICS_ADDRESS: needs a folder for temporary files (TMPDIR): {error}") from None
    if len(folder.name) > _LONGEST_FOLDER:
        folder.cleanup()
        raise CannotListen(f"RAINBOW_METRICS_ADDRESS: TMPDIR is too long for sockets in it: {folder.name}")
    return folder


def check_protection(address: str, *, token_file: str) -> None:
    """Raises CannotListen if others could read the metrics without a token, or the token cannot be read."""
    if token_file:
        try:
            read_token(token_file)
        except (OSError, ValueError) as error:
            raise CannotListen(f"RAINBOW_METRICS_TOKEN_FILE: {error}") from None
    elif not is_loopback(address):
        raise CannotListen(
            f"cannot listen on {address} (RAINBOW_METRICS_ADDRESS): others reach it; set RAINBOW_METRICS_TOKEN_FILE to "
            "a file with a token that scrapes have to present, or listen on 127.0.0.1"
        )
