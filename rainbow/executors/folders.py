"""What is kept on disk of each job: its output, and the words that it leaves at its start and its end."""

import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rainbow.rules import MAX_OUTPUT_BYTES

_KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolder:
    """The folder of one job, in the folder of its agent."""

    path: Path

    @property
    def output(self) -> Path:
        return self.path / "output"

    @property
    def started(self) -> Path:
        return self.path / "started"

    @property
    def ended(self) -> Path:
        return self.path / "ended"

    @property
    def cancelled(self) -> Path:
        return self.path / "cancelled"

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def read(self, file: Path) -> list[str]:
        """The words of a record; empty if it is not there, or not there in full."""
        try:
            text = file.read_text()
        except FileNotFoundError:
            return []
        return text.split() if text.endswith("\n") else []


def folder_of(state: Path, key: str) -> JobFolder:
    if not _KEY.fullmatch(key) or key in (".", ".."):
        raise ValueError(f"{key!r} cannot name a job")
    return JobFolder(path=state.absolute() / "jobs" / key)


def tail(file: Path) -> str:
    """The end of a file of any content, as text that fits everywhere: valid UTF-8 without null characters."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - MAX_OUTPUT_BYTES))
            content = stream.read(MAX_OUTPUT_BYTES)
    except FileNotFoundError:
        return ""
    text = _whole_characters(content).decode(errors="replace").replace("\0", "\ufffd")
    return _whole_characters(text.encode()[-MAX_OUTPUT_BYTES:]).decode()


def at(seconds: float | str) -> datetime:
    """A moment from the seconds since 1970."""
    return datetime.fromtimestamp(float(seconds), UTC)


def _whole_characters(content: bytes) -> bytes:
    """Without the rest of a character that was cut in two: up to three bytes of the form 10xxxxxx (RFC 3629)."""
    cut = next((i for i, byte in enumerate(content[:4]) if byte & 0b11000000 != 0b10000000), 0)
    return content[cut:] if len(content) == MAX_OUTPUT_BYTES else content
