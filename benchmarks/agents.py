"""Agents beside the server under test, as `rainbow agent` starts them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cluster import Cluster
from tests.support import processes

_MAIN = (sys.executable, "-c", "from rainbow.cli import main; main(prog_name='rainbow')")


@contextmanager
def running_agent(
    cluster: Cluster, words: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> Iterator[int]:
    """Yields its process id. Its state and its log are in the folder, under the cluster's name."""
    secret = {"RAINBOW_HOST": cluster.address, "RAINBOW_CLUSTER": cluster.name, "RAINBOW_SECRET": cluster.secret}
    command = [*_MAIN, "agent", *words, "--state-dir", str(folder / cluster.name)]
    process = processes.start(command, log=folder / f"{cluster.name}.log", environment={**environment, **secret})
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()
