"""The log of an agent, on standard error."""

import logging
import sys
from typing import Any

from rainbow.text import on_one_line, printable


class LineFormatter(logging.Formatter):
    """Each message is one line, whatever a job, a scheduler or a server put into it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = on_one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:
        return printable(super().formatException(ei))


def start_log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
