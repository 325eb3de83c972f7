"""A batch script: its interpreter, and the options of its `#SBATCH` lines."""

import shlex
from dataclasses import dataclass

from rainbow.errors import InvalidArgument

MARK = "#SBATCH"
WRAPPED = "#!/bin/sh\n# This script was made by sbatch --wrap.\n\n{command}\n"
_NO_SCRIPT = "this is no batch script: its first line must be #! and the path of an interpreter, such as #!/bin/bash"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchScript:
    """`interpreter` is the program and its argument, if it has one; `late` are lines that come too late to count."""

    content: bytes
    interpreter: tuple[str, ...]
    words: tuple[str, ...]
    late: tuple[int, ...]


def wrapped(command: str) -> BatchScript:
    # What was typed may be in any encoding, as a script may.
    return batch_script(WRAPPED.format(command=command).encode(errors="surrogateescape"))


def batch_script(content: bytes) -> BatchScript:
    """Raises InvalidArgument, as sbatch refuses what is no script."""
    first = content.partition(b"\n")[0]
    if not first.startswith(b"#!"):
        raise InvalidArgument(_NO_SCRIPT)
    if b"\r\n" in content:
        raise InvalidArgument("the script has DOS line breaks; `dos2unix` or `sed -i 's/\\r$//'` mends it")
    interpreter = first[2:].decode(errors="replace").split(maxsplit=1)
    if not interpreter:
        raise InvalidArgument(_NO_SCRIPT)
    # Its lines may be in any encoding; the options are in ASCII or UTF-8.
    lines = content.decode(errors="replace").split("\n")
    header = _length_of_header(lines)
    return BatchScript(
        content=content,
        interpreter=tuple(part.strip() for part in interpreter),
        words=tuple(word for number, line in enumerate(lines[:header], start=1) for word in _words(line, number)),
        late=tuple(number for number, line in enumerate(lines[header:], start=header + 1) if _is_marked(line)),
    )


def _length_of_header(lines: list[str]) -> int:
    """How many lines stand before the first command."""
    return next((at for at, line in enumerate(lines) if line.strip() and not line.startswith("#")), len(lines))


def _is_marked(line: str) -> bool:
    return line.startswith(MARK) and line[len(MARK) :][:1] in ("", " ", "\t")


def _words(line: str, number: int) -> list[str]:
    if not _is_marked(line):
        return []
    try:
        words = shlex.split(line[len(MARK) :], comments=True)
    except ValueError as error:
        raise InvalidArgument(f"line {number}: a quote is not closed in: {line}") from error
    if words[:1] in (["hetjob"], ["packjob"]):
        raise InvalidArgument(f"line {number}: jobs of several parts (hetjob) are not known; submit each by itself")
    return words
