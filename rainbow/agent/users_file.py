"""The site's users.toml: which Unix user each person is here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rainbow.agent.site_file import known_only, texts, toml_in
from rainbow.errors import InvalidArgument
from rainbow.executors.persons import UNIX_NAME
from rainbow.signatures import public_key
from rainbow.spec_rules import MAX_OPTION
from rainbow.text import on_one_line

LONGEST_PERSON = 150
ENTRIES = ("people", "pools")
PERSON_ENTRIES = ("user", "account", "keys")
MOST_KEYS = 16


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
    content = known_only(toml_in(path), ENTRIES, str(path))
    people = content.get("people", {})
    if not isinstance(people, dict):
        raise InvalidArgument(f"{path}: people must be a table of persons")
    pools = texts(content.get("pools", []), f"{path}: pools")
    return Users(pools=pools, people={name: _person(name, entry, path) for name, entry in people.items()})


def _person(name: str, entry: Any, path: Path) -> Person:
    where = on_one_line(f"{path}: people.{name[:LONGEST_PERSON]}")
    if not name or len(name) > LONGEST_PERSON or not isinstance(entry, dict):
        raise InvalidArgument(f"{where} must be a table, and its name 1 to {LONGEST_PERSON} characters")
    known_only(entry, PERSON_ENTRIES, where)
    return Person(
        user=_user(entry.get("user", ""), where),
        account=_account(entry.get("account", ""), where),
        keys=_keys(entry.get("keys", []), f"{where}.keys"),
    )


def _keys(value: Any, where: str) -> tuple[str, ...]:
    keys = texts(value, where)
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
