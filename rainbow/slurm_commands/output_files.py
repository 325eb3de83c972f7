"""Where a script's output goes: file names with sbatch's symbols (%j and the like), as words of the shell."""

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from rainbow.errors import InvalidArgument
from rainbow.rules import MAX_INT
from rainbow.slurm_commands.job_ids import FIRST_ARRAY

_SYMBOL = re.compile(r"%(?P<digits>\d{0,2})(?P<symbol>[A-Za-z%])", re.ASCII)
MOST_DIGITS = 10
# A job in no group, in place of a task whose group its agent does not know, has a number that no array has.
ARRAY_ID = f"$(({FIRST_ARRAY} + ${{RAINBOW_GROUP:-{MAX_INT + 1} + RAINBOW_JOB_ID}}))"
NO_INDEX = "4294967294"  # what sbatch writes for %a of a job that is no array
OPEN_MODES = {"truncate": ">", "append": ">>"}


def redirections(options: Mapping[str, str], *, name: str, is_array: bool) -> str:
    """The lines of a shell that send output and errors there; empty where both stay with rainbow."""
    mode = options.get("open-mode", "truncate")
    if mode not in OPEN_MODES:
        raise InvalidArgument(f"--open-mode={mode}: must be append or truncate")
    output, errors = (
        _word(options[option], name=name, is_array=is_array) if option in options else ""
        for option in ("output", "error")
    )
    arrow = OPEN_MODES[mode]
    into = [f"{arrow}{output}" if output else "", f"2{arrow}{errors}" if errors else "2>&1" if output else ""]
    if not any(into):
        return ""
    folders = [_folder(word) for option, word in (("output", output), ("error", errors)) if _is_below(options, option)]
    return "".join([*dict.fromkeys(folders), f"exec {' '.join(filter(None, into))}\n"])


def _is_below(options: Mapping[str, str], option: str) -> bool:
    """Whether it is in a folder of the job's own folder, which is new and has none."""
    text = options.get(option, "")
    return "chdir" not in options and "/" in text and not text.startswith(("/", "\\"))


def _folder(word: str) -> str:
    return f'mkdir -p -- "$(dirname -- {word})"\n'


def patterns_to_fetch(options: Mapping[str, str]) -> tuple[str, ...]:
    """Files within the job's own folder, as `rainbow fetch` takes them."""
    if "chdir" in options:
        return ()
    texts = [options[name] for name in ("output", "error") if options.get(name)]
    inside = [PurePosixPath(_SYMBOL.sub("*", text)) for text in texts if not text.startswith(("/", "\\"))]
    return tuple(dict.fromkeys(str(path) for path in inside if ".." not in path.parts))


def _word(text: str, *, name: str, is_array: bool) -> str:
    if not text:
        raise InvalidArgument("--output and --error must name a file")
    if "\\" in text:  # then no symbol counts
        return shlex.quote(text.replace("\\", ""))
    word, at = "", 0
    for found in _SYMBOL.finditer(text):
        word += _quoted(text[at : found.start()]) + _meant(found, name=name, is_array=is_array)
        at = found.end()
    return word + _quoted(text[at:])


def _meant(found: re.Match[str], *, name: str, is_array: bool) -> str:
    symbol = found["symbol"]
    numbers = {
        "j": "$RAINBOW_JOB_ID",
        "J": "$RAINBOW_JOB_ID",
        "A": ARRAY_ID if is_array else "$RAINBOW_JOB_ID",
        "a": "$RAINBOW_ARRAY_INDEX" if is_array else NO_INDEX,
        "b": "$((RAINBOW_ARRAY_INDEX % 10))" if is_array else NO_INDEX[-1],
        "n": "0",
        "t": "0",
    }
    if symbol in numbers:
        digits = min(int(found["digits"] or 0), MOST_DIGITS)
        return f'"$(printf %0{digits}d "{numbers[symbol]}")"' if digits else f'"{numbers[symbol]}"'
    texts = {"x": _quoted(name), "u": '"$(id -un)"', "N": '"${SLURMD_NODENAME:-$(uname -n)}"', "s": "batch", "%": "%"}
    return texts.get(symbol, _quoted(found[0]))


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
