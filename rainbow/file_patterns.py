"""Which files of a job its patterns mean. One of a folder means all below; `*` stands for characters of one part."""

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache

# All that one job may have: 64 patterns of 16 parts.
MOST_COMPILED = 1024


class FilePatterns:
    """What patterns mean in one folder, by the parts that are left of each there.

    So what leads to a folder is compared once, and not again for each of its files.
    """

    def __init__(self, left: Sequence[Sequence[str]]) -> None:
        self._left = left
        self._mean_all = not all(left)

    def mean(self, file: str) -> bool:
        return self._mean_all or any(len(parts) == 1 and _fits(file, parts[0]) for parts in self._left)

    def below(self, folder: str) -> "FilePatterns | None":
        """None where they mean nothing in it."""
        if self._mean_all:
            return self
        left = [parts[1:] for parts in self._left if _fits(folder, parts[0])]
        return FilePatterns(left) if left else None


def file_patterns(patterns: Sequence[str]) -> FilePatterns:
    """For the folder of all files. Without any, all are meant."""
    return FilePatterns([pattern.rstrip("/").split("/") for pattern in patterns] or [[]])


def is_meant(name: str, patterns: FilePatterns) -> bool:
    """Of a file by its path from the folder of all files."""
    *folders, file = name.split("/")
    left: FilePatterns | None = patterns
    for folder in folders:
        left = left and left.below(folder)
    return bool(left and left.mean(file))


def _fits(name: str, part: str) -> bool:
    return _compiled(part)(name) is not None


@lru_cache(maxsize=MOST_COMPILED)
def _compiled(part: str) -> Callable[[str], re.Match[str] | None]:
    """As fnmatch does, which keeps 256: patterns of one job alone would push each other out."""
    return re.compile(translate(part)).match
