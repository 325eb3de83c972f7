"""The proxies of deploy/, run by Debian's nginx and HAProxy in front of a server of the tests."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import processes
from tests.support.ports import free_port
from tests.support.servers import ROOT, RainbowServer

DEPLOY = ROOT / "deploy"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
# What /etc/nginx/nginx.conf is on Debian, as far as it matters: its folders would be root's.
NGINX = """\
daemon off;
{user}
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 768; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    include {folder}/rainbow.conf;
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseProxy:
    """`address` is host:port for gRPC and for HTTPS; `ca_file` has the certificate to trust."""

    name: str
    address: str
    ca_file: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"https://{self.address}"


Changes = Mapping[str, str]
Prepare = Callable[[Path, RainbowServer, int, tuple[Path, Path], Changes], tuple[list[str], Mapping[str, str]]]


def nginx(
    folder: Path, server: RainbowServer, port: int, pair: tuple[Path, Path], changes: Changes
) -> tuple[list[str], dict[str, str]]:
    """The command, and its environment."""
    sample = replaced(
        (DEPLOY / "nginx.conf").read_text(),
        {
            "server 127.0.0.1:50051;": f"server {server.address};",
            "server 127.0.0.1:8000;": f"server {urlsplit(server.web).netloc};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
            "rainbow.example.org": "localhost",
            "/etc/rainbow/cert.pem": str(pair[0]),
            "/etc/rainbow/key.pem": str(pair[1]),
            **changes,
        },
    )
    (folder / "rainbow.conf").write_text(sample)
    # Its workers would become a user who cannot enter the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, user=user))
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")], {}


def haproxy(
    folder: Path, server: RainbowServer, port: int, pair: tuple[Path, Path], changes: Changes
) -> tuple[list[str], dict[str, str]]:
    """The same. Its second server is one that is down."""
    sample = replaced(
        (DEPLOY / "haproxy.cfg").read_text(),
        {":50051 ": f":{server.address.rpartition(':')[2]} ", "8000": str(urlsplit(server.web).port), **changes},
    )
    (folder / "haproxy.cfg").write_text(sample)
    (folder / "rainbow.pem").write_text("".join(file.read_text() for file in pair))
    environment = {
        "RAINBOW_PROXY_BIND": f"127.0.0.1:{port}",
        "RAINBOW_PROXY_PEM": str(folder / "rainbow.pem"),
        "RAINBOW_SERVER_2": "127.0.0.2",
    }
    return ["haproxy", "-f", str(folder / "haproxy.cfg")], environment


PROXIES: Mapping[str, Prepare] = {"nginx": nginx, "haproxy": haproxy}


@contextmanager
def proxied(
    name: str, server: RainbowServer, folder: Path, pair: tuple[Path, Path], *, changes: Changes | None = None
) -> Iterator[ReverseProxy]:
    """Run the proxy of this name before the server, with `changes` of its sample.

    Skips the test where it is not installed.
    """
    if not shutil.which(name, path=PATH):
        pytest.skip(f"needs {name}, Debian's {'nginx-light' if name == 'nginx' else name}")
    port, log = free_port(), folder / "log"
    command, environment = PROXIES[name](folder, server, port, pair, changes or {})
    end = signal.SIGTERM
    process = processes.start(command, log=log, environment={**os.environ, "PATH": PATH, **environment}, end_with=end)
    try:
        processes.wait_until(lambda: accepts(port), process=process, log=log)
        yield ReverseProxy(name=name, address=f"localhost:{port}", ca_file=str(pair[0]), process=process, log=log)
    finally:
        processes.stop(process, gently=end)


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def replaced(text: str, changes: Changes) -> str:
    """With each of these written otherwise. All have to be there: what is not tested is not shown."""
    for there, here in changes.items():
        assert there in text, there
        text = text.replace(there, here)
    return text
