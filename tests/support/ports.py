"""Ports of this machine for servers that a test starts."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle

# Below the ports that the kernel gives to outgoing connections (from 32768, ip(7)): none takes one away
# between the look and the server's start. The tests' Slurm has those from 20000.
FIRST_PORT = 10_000
PORTS_A_WORKER = 1_000
WORKERS = 10
# Browsers connect to none of these (https://fetch.spec.whatwg.org/#port-blocking).
BLOCKED_BY_BROWSERS = (10_080,)


def free_port() -> int:
    """A port at which nothing listens, and which no other test process is given."""
    for port in _ports:
        if port not in BLOCKED_BY_BROWSERS and _is_free(port):
            return port
    raise AssertionError("the ports never end")


def _ports_of(worker: str) -> Iterator[int]:
    """The ports of one process of pytest-xdist (`gw3`), from one at random: other runs have the same."""
    first = FIRST_PORT + int(worker.removeprefix("gw") or 0) % WORKERS * PORTS_A_WORKER
    start = random.randrange(PORTS_A_WORKER)
    return cycle(first + (start + offset) % PORTS_A_WORKER for offset in range(PORTS_A_WORKER))


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_ports = _ports_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
