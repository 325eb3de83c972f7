"""Standard streams that a command can use, whatever it was started with."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path


def make_usable() -> None:
    """A stream that was closed, which Python has as None, is empty or takes all. No letter ends a command that a
    stream's encoding lacks, and no byte that it cannot decode.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        is_read = name == "stdin"
        if stream is None:
            # It gets the lowest free number: that of the stream, which a socket would have otherwise.
            setattr(sys, name, Path(os.devnull).open("r" if is_read else "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            with suppress(io.UnsupportedOperation):  # it was read from before
                stream.reconfigure(errors="replace" if is_read else "backslashreplace")
