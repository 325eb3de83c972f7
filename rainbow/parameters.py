"""Files of parameters in CSV (RFC 4180): a job for each row, whose columns are variables of the job."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO

from rainbow.arrays import MOST_MEMBERS
from rainbow.errors import InvalidArgument
from rainbow.spec_rules import OWN_VARIABLES

MOST_COLUMNS = 256
# A file of more than this is none of parameters.
MOST_BYTES = 64 * 1024 * 1024
LONGEST_CELL = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a row says, by variable, and the number of the line on which it begins."""

    line: int
    variables: dict[str, str]


def rows_in(file: IO[bytes]) -> tuple[Row, ...]:
    """Raises InvalidArgument, with the number of the line, for what is no such file."""
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InvalidArgument(f"is longer than {MOST_BYTES // 1024**2} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _at(content.count(b"\n", 0, error.start) + 1, "is not UTF-8") from error
    if "\0" in text:
        raise _at(text.count("\n", 0, text.index("\0")) + 1, "has a null character")
    found = tuple(islice(_rows(text), MOST_MEMBERS + 1))
    if len(found) > MOST_MEMBERS:
        raise InvalidArgument(f"has more than {MOST_MEMBERS:,} rows")
    if not found:
        raise InvalidArgument("has no row below the names of its columns")
    return found


def _rows(text: str) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: Sequence[str] = ()
    begins = 1
    try:
        for cells in lines:
            if not names:
                names = _names(cells, line=begins)
            elif cells:
                yield _row(names, cells, line=begins)
            begins = lines.line_num + 1
    except csv.Error as error:
        raise _at(begins, f"is no CSV: {error}") from error


def _names(cells: Sequence[str], *, line: int) -> Sequence[str]:
    if not 1 <= len(cells) <= MOST_COLUMNS:
        raise _at(line, f"must name 1 to {MOST_COLUMNS} columns")
    for name in cells:
        if not _VARIABLE.fullmatch(name):
            raise _at(line, f"the column {name!r} is no name of a variable: letters, digits and underscores")
        if name in OWN_VARIABLES:
            raise _at(line, f"the column {name} is a variable that rainbow sets for each job")
        if cells.count(name) > 1:
            raise _at(line, f"names the column {name} twice")
    return cells


def _row(names: Sequence[str], cells: Sequence[str], *, line: int) -> Row:
    if len(cells) != len(names):
        found = "1 cell" if len(cells) == 1 else f"{len(cells):,} cells"
        wanted = "1 column has" if len(names) == 1 else f"{len(names):,} columns have"
        raise _at(line, f"has {found}, and {wanted} a name")
    if any(len(cell) > LONGEST_CELL for cell in cells):
        raise _at(line, f"has a cell of more than {LONGEST_CELL:,} characters")
    return Row(line=line, variables=dict(zip(names, cells, strict=True)))


def _at(line: int, what: str) -> InvalidArgument:
    return InvalidArgument(f"line {line:,}: {what}")
