"""Files of jobs for the command line."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

GOOD = b'{"command": "hostname"}\n'

JobsFile = Callable[..., str]


@pytest.fixture
def jobs_file(tmp_path: Path) -> JobsFile:
    """Writes a file of jobs, each a dict, or a line as it is; returns its path."""

    def write(*lines: dict[str, Any] | bytes) -> str:
        path = tmp_path / "jobs.jsonl"
        path.write_bytes(b"".join(line if isinstance(line, bytes) else _as_line(line) for line in lines))
        return str(path)

    return write


def numbered(jobs: int) -> Iterator[dict[str, Any]]:
    return ({"command": f"echo {number}"} for number in range(jobs))


def _as_line(job: dict[str, Any]) -> bytes:
    return f"{json.dumps(job)}\n".encode()
