"""Ports of this machine for servers that a test starts."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle

# Below the ports that the kernel gives to outgoing connections (from 32768, ip(7)): none takes one away
# between the look and the server's start.
FIRST_PORT = 10_000
# Of the tests' Slurm, which wants several in a row.
FIRST_OF_ROWS, PORTS_A_ROW = 20_000, 20
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


def free_ports(number: int) -> int:
    """The first of so many in a row, PORTS_A_ROW at most, that are as `free_port` has it."""
    for first in _rows:
        if all(_is_free(first + offset) for offset in range(number)):
            return first
    raise AssertionError("the ports never end")


def _ports_of(worker: str, *, first: int, apart: int) -> Iterator[int]:
    """The ports of one process of pytest-xdist (`gw3`), from one at random: other runs have the same."""
    first += int(worker.removeprefix("gw") or 0) % WORKERS * PORTS_A_WORKER
    start = random.randrange(0, PORTS_A_WORKER, apart)
    return cycle(first + (start + offset) % PORTS_A_WORKER for offset in range(0, PORTS_A_WORKER, apart))


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
_ports = _ports_of(_worker, first=FIRST_PORT, apart=1)
_rows = _ports_of(_worker, first=FIRST_OF_ROWS, apart=PORTS_A_ROW)
