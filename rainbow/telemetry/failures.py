"""Failures for the log: where they happened, and their words only where these hold nothing of what callers sent."""

import traceback
from collections.abc import Iterator

# Their words come from Python, the system or a library, not from the data at hand; those of a ValueError or a KeyError
# may be a job's command.
_TELLING = (ArithmeticError, AttributeError, ImportError, MemoryError, NameError, OSError, RuntimeError, UnicodeError)
# PostgreSQL repeats values in data exceptions and integrity violations, with whole rows in their details
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_QUOTING_CLASSES = ("22", "23")
_OF_THE_CONNECTION = ("OperationalError", "InterfaceError")
_MOST_CAUSES, _MOST_FRAMES = 8, 40
_BETWEEN = {
    True: "The above exception was the direct cause of the following exception:",
    False: "During handling of the above exception, another exception occurred:",
}


def told(error: BaseException) -> str:
    """The failure's own words, as far as the log may have them; else its type."""
    return _words(error) or type(error).__name__


def named(error: BaseException) -> str:
    """The failure's type, and its words as far as the log may have them."""
    return ": ".join(filter(None, (type(error).__name__, _words(error))))


def traceback_of(error: BaseException) -> str:
    """The traceback with those of its causes. Frames have their code, never their variables."""
    return "\n".join(_parts(error, _MOST_CAUSES))


def _parts(error: BaseException, most: int) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and before is not error and most > 1:
        yield from _parts(before, most - 1)
        yield f"\n{_BETWEEN[error.__cause__ is not None]}\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__, limit=-_MOST_FRAMES)).rstrip("\n")
    yield f"{type(error).__module__}.{type(error).__qualname__}: {_words(error) or '(its words may be of a job)'}"


def _words(error: BaseException) -> str:
    module = type(error).__module__
    if module == "django.db.utils":
        # Django's errors wrap those of the driver.
        if error.__cause__ is not None and type(error.__cause__).__module__ != module:
            return _words(error.__cause__)
        return str(error) if type(error).__name__ in _OF_THE_CONNECTION else ""
    if hasattr(error, "sqlstate"):
        return _of_postgresql(error)
    return str(error) if isinstance(error, _TELLING) or module == "sqlite3" else ""


def _of_postgresql(error: BaseException) -> str:
    state, known = getattr(error, "sqlstate", None), getattr(error, "diag", None)
    if not str(state or "").startswith(_QUOTING_CLASSES):
        return str(error)
    places = (getattr(known, f"{kind}_name", None) for kind in ("constraint", "table", "column"))
    return " ".join((f"SQLSTATE {state}", *filter(None, places)))
