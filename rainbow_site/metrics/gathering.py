"""Gathering the metrics of a server's processes, each under its name."""

import logging
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line, Quoted

# A process that stands still is left out of a scrape.
PATIENCE_SECONDS = 2.0
_AT_A_TIME = 16
_MOST_BYTES = 8 * 1024 * 1024
_READ_BYTES = 256 * 1024
_log = logging.getLogger("rainbow")


class ProcessMetrics(Collector):
    """What the processes publish in a folder, with a label `process` of each socket's name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="gather")

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        sockets = sorted(self._folder.iterdir())
        up = GaugeMetricFamily("rainbow_process_up", "Whether the process published its metrics.", labels=["process"])
        merged: dict[str, Metric] = {}
        for path, families in zip(sockets, self._threads.map(_read, sockets), strict=True):
            up.add_metric([path.name], float(families is not None))
            for family in families or ():
                _merge(merged, family, process=path.name)
        yield up
        yield from merged.values()


def _read(path: Path) -> list[Metric] | None:
    """None where the process does not answer in time."""
    try:
        return list(text_string_to_metric_families(_text_at(path)))
    except (OSError, ValueError) as error:
        _log.warning(Line("could not read metrics", process=path.name, error=Quoted(told(error))))
        return None


def _text_at(path: Path) -> str:
    until = time.monotonic() + PATIENCE_SECONDS
    parts: list[bytes] = []
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(str(path))
        while part := _received(connection, until):
            parts.append(part)
            if sum(map(len, parts)) > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES:,} bytes")
    return b"".join(parts).decode()


def _received(connection: socket.socket, until: float) -> bytes:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    connection.settimeout(left)
    return connection.recv(_READ_BYTES)


def _merge(merged: dict[str, Metric], family: Metric, *, process: str) -> None:
    into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
    into.samples += [sample._replace(labels={"process": process, **sample.labels}) for sample in family.samples]
