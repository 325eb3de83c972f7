"""Advice where the server may or may not have done what was asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from rainbow.errors import RainbowError
from rainbow.terminal.output import complain


@contextmanager
def in_doubt(advice: str) -> Iterator[None]:
    """Adds the advice to failures that leave this open, and prints it when the call is interrupted."""
    try:
        yield
    except RainbowError as error:
        if error.may_be_done:
            error.add_note(advice)
        raise
    except KeyboardInterrupt:
        complain(advice)
        raise
