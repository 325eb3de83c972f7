"""The files that a job left, as its agent listed them once it had ended. What they are named is the job's doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clusters.validation import check_range
from jobs.spec_rules import check_file_name
from rainbow.errors import InvalidArgument

MAX_FILES = 1_000
MAX_NAMES_BYTES = 64 * 1024
MAX_FILE_SIZE = 2**62


class OutputFile(NamedTuple):
    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFiles:
    """By name. `more`: there may be others."""

    files: Sequence[OutputFile]
    more: bool


def check_output_files(listed: OutputFiles) -> None:
    """Raises InvalidArgument."""
    field = "output_files"
    if len(listed.files) > MAX_FILES:
        raise InvalidArgument(f"must be at most {MAX_FILES:,}, not {len(listed.files):,}", field=field)
    for file in listed.files:
        check_file_name(file.name, field=field)
        check_range(file.size, field=field, lowest=0, highest=MAX_FILE_SIZE)
    size = sum(len(file.name.encode()) for file in listed.files)
    if size > MAX_NAMES_BYTES:
        raise InvalidArgument(f"names must be at most {MAX_NAMES_BYTES:,} bytes in all, not {size:,}", field=field)
    if len({file.name for file in listed.files}) < len(listed.files):
        raise InvalidArgument("a name must not be there twice", field=field)


def document_of(listed: OutputFiles) -> dict[str, Any]:
    """As the database keeps it."""
    return {"files": [list(file) for file in listed.files], "more": listed.more}


def from_document(document: dict[str, Any] | None) -> OutputFiles | None:
    if document is None:
        return None
    return OutputFiles(files=[OutputFile(*file) for file in document["files"]], more=document["more"])
