"""The site's secrets.toml: secrets that jobs name, and whose jobs may have each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rainbow.agent.site_file import content_of, known_only, texts, toml_in
from rainbow.errors import InvalidArgument
from rainbow.spec_rules import SECRET_NAME
from rainbow.text import on_one_line

ENTRIES = ("value", "file", "people", "projects", "all")
MOST_VALUE_BYTES = 32 * 1024

_NAME = re.compile(SECRET_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """`all`: every job may have it; otherwise those of these people and of these projects."""

    value: str = field(repr=False)
    people: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    all: bool = False

    def is_for(self, *, owner: str, project: str) -> bool:
        return self.all or (owner != "" and owner in self.people) or (project != "" and project in self.projects)


def read_secrets(path: Path) -> Mapping[str, Secret]:
    """By name. Raises InvalidArgument, without a word of any value."""
    content = known_only(toml_in(path, is_secret=True), ("secrets",), str(path))
    table = content.get("secrets", {})
    if not isinstance(table, dict):
        raise InvalidArgument(f"{path}: secrets must be a table of secrets")
    return {name: _secret(name, entry, path) for name, entry in table.items()}


def _secret(name: str, entry: Any, path: Path) -> Secret:
    where = on_one_line(f"{path}: secrets.{name[:100]}")
    if not _NAME.fullmatch(name) or not isinstance(entry, dict):
        raise InvalidArgument(
            f"{where} must be a table, and its name 1 to 63 letters, digits, dots, underscores and hyphens"
        )
    known_only(entry, ENTRIES, where)
    secret = Secret(
        value=_value(entry, where),
        people=texts(entry.get("people", []), f"{where}.people"),
        projects=texts(entry.get("projects", []), f"{where}.projects"),
        all=entry.get("all", False),
    )
    if not isinstance(secret.all, bool):
        raise InvalidArgument(f"{where}.all must be true or false")
    if not (secret.all or secret.people or secret.projects):
        raise InvalidArgument(f"{where} is for nobody: it needs people, projects, or all = true")
    return secret


def _value(entry: Mapping[str, Any], where: str) -> str:
    """Of a file, without the newline at its end."""
    if ("value" in entry) == ("file" in entry):
        raise InvalidArgument(f"{where} needs either value or file")
    value = entry["value"] if "value" in entry else _content(entry["file"], where)
    if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) > MOST_VALUE_BYTES:
        raise InvalidArgument(
            f"{where}: its value must be text of 1 to {MOST_VALUE_BYTES:,} bytes without null characters"
        )
    return value


def _content(file: Any, where: str) -> str:
    if not isinstance(file, str) or not file.startswith("/"):
        raise InvalidArgument(f"{where}.file must be an absolute path")
    content = content_of(Path(file), is_secret=True, most_bytes=MOST_VALUE_BYTES)
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise InvalidArgument(f"{where}: {file} is not UTF-8") from None
