"""The machine that the figures were measured on."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles

ROOT = Path(__file__).parent.parent
_SYNCS = 200
_PAGE = bytes(4096)


def describe_machine(folder: Path) -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("Django", "grpcio", "protobuf", "uvloop", "psycopg"))
    return {
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_version()}, {packages}",
        "disk": f"{_file_system(folder)}, {_syncs(folder)}",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "code": _commit(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    """The file system of the mount that the folder lies on: the one of the longest path above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _syncs(folder: Path) -> str:
    """How long a sync of one page takes, which every commit waits for."""
    path = folder / "sync"
    seconds = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(_PAGE)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - began)
    path.unlink()
    percentiles = quantiles(seconds, n=100)
    return f"fdatasync of 4 KiB p50 {percentiles[49] * 1000:.2f} ms, p99 {percentiles[98] * 1000:.2f} ms"


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
