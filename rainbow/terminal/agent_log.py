"""The log of an agent, on standard error (docs/logs.md)."""

import logging
import sys

from rainbow.telemetry.lines import FORMATS
from rainbow.telemetry.uncaught import log_uncaught


def start_log(*, form: str, level: str) -> None:
    """`form` is one of FORMATS. Libraries write warnings and worse."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATS[form]())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("rainbow").setLevel(level)
    log_uncaught()
