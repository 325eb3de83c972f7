"""Commands at a terminal, which is read while they run: it holds 4 KiB, and gives them in pieces."""

import errno
import os
import pty
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def at_terminal(words: Sequence[str | Path], *, columns: int = 80) -> str:
    """What the command showed; it has to succeed."""
    shown, _ = _run(words, columns=columns, stdout=None)
    return shown


def with_errors_at_terminal(words: Sequence[str | Path], *, columns: int = 80) -> tuple[str, bytes]:
    """What the command showed by its standard error, and its standard output; it has to succeed."""
    return _run(words, columns=columns, stdout=subprocess.PIPE)


def without_controls(shown: str) -> str:
    return _CONTROLS.sub("", shown)


def _run(words: Sequence[str | Path], *, columns: int, stdout: int | None) -> tuple[str, bytes]:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    errors = theirs if stdout else subprocess.PIPE
    with subprocess.Popen(words, stdout=stdout or theirs, stderr=errors, env=environment) as process:
        os.close(theirs)
        try:
            shown = _until_closed(ours)
        finally:
            os.close(ours)
        output, complaint = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, (shown, complaint)
    return shown, output or b""


def _until_closed(terminal: int) -> str:
    shown = b""
    while part := _part(terminal):
        shown += part
    return shown.decode()


def _part(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError as error:
        # Linux answers like this once the command has closed its end.
        if error.errno == errno.EIO:
            return b""
        raise
