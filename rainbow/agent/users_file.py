"""The site's users.toml: which Unix user each person is here."""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rainbow.errors import InvalidArgument, why
from rainbow.executors.persons import UNIX_NAME
from rainbow.signatures import public_key
from rainbow.spec_rules import MAX_OPTION
from rainbow.text import on_one_line

MOST_BYTES = 4 * 1024 * 1024
LONGEST_PERSON = 150
ENTRIES = ("people", "pools")
PERSON_ENTRIES = ("user", "account", "keys")
MOST_KEYS = 16
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """`user` is the person's Unix user, `account` what jobs are charged to that name none; both may be empty.

    `keys` are those by which the person signs jobs.
    """

    user: str = ""
    account: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """`pools`: those for which jobs may be signed that run here, beside the cluster itself."""

    pools: tuple[str, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)


def read_users(path: Path) -> Users:
    """Raises InvalidArgument for a file that others may have written, that is missing, or not meant like this."""
    content = _table(_content(path), ENTRIES, str(path))
    people = content.get("people", {})
    if not isinstance(people, dict):
        raise InvalidArgument(f"{path}: people must be a table of persons")
    pools = _texts(content.get("pools", []), f"{path}: pools")
    return Users(pools=pools, people={name: _person(name, entry, path) for name, entry in people.items()})


def _content(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
                raise InvalidArgument(f"{path} must be a file of root or of the agent's user")
            if found.st_mode & OTHERS_WRITE:
                raise InvalidArgument(f"{path} must not be writable by others: chmod go-w {path}")
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InvalidArgument(f"{path} is longer than {MOST_BYTES:,} bytes")
        return tomllib.loads(content.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error


def _table(content: Mapping[str, Any], known: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if unknown := sorted(content.keys() - set(known)):
        raise InvalidArgument(on_one_line(f"{where}: there is no {', '.join(unknown)}; known are {', '.join(known)}"))
    return content


def _person(name: str, entry: Any, path: Path) -> Person:
    where = on_one_line(f"{path}: people.{name[:LONGEST_PERSON]}")
    if not name or len(name) > LONGEST_PERSON or not isinstance(entry, dict):
        raise InvalidArgument(f"{where} must be a table, and its name 1 to {LONGEST_PERSON} characters")
    _table(entry, PERSON_ENTRIES, where)
    return Person(
        user=_user(entry.get("user", ""), where),
        account=_account(entry.get("account", ""), where),
        keys=_keys(entry.get("keys", []), f"{where}.keys"),
    )


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(text, str) and text for text in value):
        return tuple(value)
    raise InvalidArgument(f"{where} must be a list of strings that are not empty")


def _keys(value: Any, where: str) -> tuple[str, ...]:
    keys = _texts(value, where)
    if len(keys) > MOST_KEYS:
        raise InvalidArgument(f"{where} must be at most {MOST_KEYS}")
    for text in keys:
        try:
            public_key(text)
        except InvalidArgument as error:
            raise InvalidArgument(f"{where}: {error.message}") from error
    return keys


def _user(value: Any, where: str) -> str:
    if isinstance(value, str) and (not value or UNIX_NAME.fullmatch(value)):
        return value
    raise InvalidArgument(f"{where}.user must be the name of a Unix user")


def _account(value: Any, where: str) -> str:
    if isinstance(value, str) and len(value) <= MAX_OPTION and (not value or value.isprintable()):
        return value
    raise InvalidArgument(f"{where}.account must be the name of an account, of at most {MAX_OPTION} characters")
