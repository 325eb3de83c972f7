"""What to say where it is not known whether the server did what was asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from rainbow.errors import RainbowError
from rainbow.terminal.output import complain


@contextmanager
def in_doubt(advice: str) -> Iterator[None]:
    """Give this advice with a failure after which the server may have done its work, and to who interrupts the call."""
    try:
        yield
    except RainbowError as error:
        if error.may_be_done:
            error.add_note(advice)
        raise
    except KeyboardInterrupt:
        complain(advice)
        raise
