"""Which files of a job its patterns mean. One of a folder means all below; `*` stands for characters of one part."""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def fits_any(name: str, patterns: Iterable[str]) -> bool:
    return any(_fits(name.split("/"), _parts(pattern), whole=True) for pattern in patterns)


def may_lead_to_any(folder: str, patterns: Iterable[str]) -> bool:
    """Whether something below the folder may fit."""
    return any(_fits(folder.split("/"), _parts(pattern), whole=False) for pattern in patterns)


def _parts(pattern: str) -> list[str]:
    return pattern.rstrip("/").split("/")


def _fits(names: list[str], parts: list[str], *, whole: bool) -> bool:
    if whole and len(parts) > len(names):
        return False
    return all(fnmatchcase(*pair) for pair in zip(names, parts, strict=False))
