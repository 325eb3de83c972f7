"""What the protocol allows in each field of a job. An agent holds to it whatever a server sends.

The server has the same rules (jobs/specs.py), and a test compares them. Each check raises InvalidArgument, with the
name of the field.
"""

import re
from collections.abc import Mapping
from typing import Protocol

from rainbow.errors import InvalidArgument

MAX_INT = 2**31 - 1
MAX_NAME = 255
MAX_COMMAND_BYTES = 64 * 1024
MAX_ENVIRONMENT_BYTES = 64 * 1024
MAX_LABELS = 32
MAX_LABEL_VALUE = 255
MAX_PATH = 4096
MAX_PRIORITY = 100
MAX_TIME_LIMIT_SECONDS = 365 * 24 * 3600
MAX_CREDENTIAL = 255
# Of what a job writes, this much is kept: the end.
MAX_OUTPUT_BYTES = 64 * 1024

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Runnable(Protocol):
    """What of a job reaches a scheduler."""

    @property
    def command(self) -> str: ...
    @property
    def nodes(self) -> int: ...
    @property
    def tasks(self) -> int: ...
    @property
    def time_limit_seconds(self) -> int: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def working_directory(self) -> str: ...


class Described(Runnable, Protocol):
    """A job with what else its submitter says of it."""

    @property
    def name(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


class Attempted(Described, Protocol):
    """A job that a server hands out."""

    @property
    def id(self) -> int: ...
    @property
    def attempt(self) -> int: ...


def check_attempt(job: Attempted) -> None:
    check_range(job.id, field="id", lowest=1, highest=MAX_INT)
    check_range(job.attempt, field="attempt", lowest=1, highest=MAX_INT)
    check_description(job)


def check_description(job: Described) -> None:
    check_line(job.name, field="name", longest=MAX_NAME)
    check_range(job.priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
    check_work(job)
    _check_labels(job.labels)


def check_work(work: Runnable) -> None:
    _check_command(work.command)
    check_range(work.nodes, field="nodes", lowest=1, highest=MAX_INT)
    check_range(work.tasks, field="tasks", lowest=0, highest=MAX_INT)
    check_range(work.time_limit_seconds, field="time_limit_seconds", lowest=0, highest=MAX_TIME_LIMIT_SECONDS)
    _check_environment(work.environment)
    _check_working_directory(work.working_directory)


def check_credential(value: str) -> None:
    """A token or a secret, as any server may make it: one word that metadata and a file can carry."""
    if not (value.isascii() and value.isprintable() and 0 < len(value) <= MAX_CREDENTIAL) or " " in value:
        raise InvalidArgument(
            f"must be 1 to {MAX_CREDENTIAL} printable ASCII characters without blanks", field="credential"
        )


def check_range(number: int, *, field: str, lowest: int, highest: int) -> None:
    if not lowest <= number <= highest:
        raise InvalidArgument(f"must be {lowest:,} to {highest:,}, not {number:,}", field=field)


def check_line(text: str, *, field: str, longest: int) -> None:
    """One line of text, counted in characters."""
    if len(text) > longest:
        raise InvalidArgument(f"must be at most {longest:,} characters, not {len(text):,}", field=field)
    if _CONTROL.search(text):
        raise InvalidArgument("must not contain control characters", field=field)
    _size_in_bytes(text, field=field)


def _check_command(command: str) -> None:
    if not command.strip():
        raise InvalidArgument("must not be empty", field="command")
    size = _size_in_bytes(command, field="command")
    if size > MAX_COMMAND_BYTES:
        raise InvalidArgument(f"must be at most {MAX_COMMAND_BYTES:,} bytes, not {size:,}", field="command")
    if _CONTROL_IN_LINES.search(command):
        raise InvalidArgument("must not contain control characters other than tab and newline", field="command")


def _check_environment(environment: Mapping[str, str]) -> None:
    size = 0
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidArgument(
                "names must be letters, digits and underscores, the first not a digit", field="environment"
            )
        if "\0" in value:
            raise InvalidArgument("values must not contain a null character", field="environment")
        size += len(name) + _size_in_bytes(value, field="environment")
    if size > MAX_ENVIRONMENT_BYTES:
        raise InvalidArgument(
            f"must be at most {MAX_ENVIRONMENT_BYTES:,} bytes in all, not {size:,}", field="environment"
        )


def _check_working_directory(path: str) -> None:
    check_line(path, field="working_directory", longest=MAX_PATH)
    if path and not path.startswith("/"):
        raise InvalidArgument("must be an absolute path", field="working_directory")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise InvalidArgument(f"must be at most {MAX_LABELS}, not {len(labels):,}", field="labels")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise InvalidArgument(
                "keys must be 1 to 63 letters, digits, dots, underscores, slashes and hyphens,"
                " the first a letter or digit",
                field="labels",
            )
        check_line(value, field="labels", longest=MAX_LABEL_VALUE)


def _size_in_bytes(text: str, *, field: str) -> int:
    """The length of the text in UTF-8, which lone surrogates (JSON can carry them) do not have."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgument("must be valid UTF-8", field=field) from None
