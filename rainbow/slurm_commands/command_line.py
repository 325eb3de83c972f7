"""Options as getopt_long(3) reads them: `-N2`, `-N 2`, `--nodes=2`, `--nodes 2`, `--node` where it is unique."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum, auto

from rainbow.errors import InvalidArgument


class Takes(Enum):
    NOTHING = auto()
    VALUE = auto()
    PERHAPS = auto()  # a value only behind `=`


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    name: str
    short: str = ""
    takes: Takes = Takes.VALUE


Said = tuple[str, str]


def parse(words: Sequence[str], options: Iterable[Option]) -> tuple[list[Said], list[str]]:
    """Names of options with what was said of each, in their order, and the words from the first that is none on.

    Raises InvalidArgument.
    """
    by_name = {option.name: option for option in options}
    by_letter = {option.short: option for option in by_name.values() if option.short}
    said: list[Said] = []
    left = list(words)
    while left and left[0].startswith("-") and left[0] != "-":
        word = left.pop(0)
        if word == "--":
            break
        said += _long(word[2:], left, by_name) if word.startswith("--") else _short(word[1:], left, by_letter)
    return said, left


def _long(word: str, left: list[str], options: Mapping[str, Option]) -> list[Said]:
    name, equals, value = word.partition("=")
    option = _named(name, options)
    if equals and option.takes is Takes.NOTHING:
        raise InvalidArgument(f"--{option.name} takes no value")
    if not equals and option.takes is Takes.VALUE:
        value = _next(left, f"--{option.name}")
    return [(option.name, value)]


def _named(name: str, options: Mapping[str, Option]) -> Option:
    if name in options:
        return options[name]
    begun = [option for known, option in options.items() if known.startswith(name)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise InvalidArgument(f"--{name} could be {', '.join(f'--{option.name}' for option in begun)}")
    near = get_close_matches(name, options, n=1)
    raise InvalidArgument(f"there is no option --{name}{f'; did you mean --{near[0]}?' if near else ''}")


def _short(letters: str, left: list[str], options: Mapping[str, Option]) -> list[Said]:
    said: list[Said] = []
    for at, letter in enumerate(letters, start=1):
        option = options.get(letter)
        if option is None:
            raise InvalidArgument(f"there is no option -{letter}")
        if option.takes is Takes.VALUE:
            return [*said, (option.name, letters[at:] or _next(left, f"-{letter}"))]
        said.append((option.name, ""))
    return said


def _next(left: list[str], option: str) -> str:
    if not left:
        raise InvalidArgument(f"{option} needs a value")
    return left.pop(0)
