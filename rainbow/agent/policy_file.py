"""The site's policy file."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rainbow.agent.allowed_mounts import AllowedMount, allowed_mount
from rainbow.agent.input_sources import InputSources
from rainbow.agent.policy import CHOICES, Policy
from rainbow.errors import InvalidArgument, why

LIMITS = (
    "max_nodes",
    "max_tasks",
    "max_time_limit_seconds",
    "max_cores",
    "max_gpus",
    "max_memory_mib_per_node",
)
LISTS = (
    "allowed_commands",
    "allowed_environment",
    "refused_environment",
    "allowed_directories",
    *CHOICES.values(),
    "allowed_mounts",
    "allowed_input_hosts",
    "allowed_input_networks",
)
ENTRIES = (*LIMITS, *LISTS, "allow_exclusive", "allow_inputs", "max_input_mib")
# Of each file that is fetched by URL.
MAX_INPUT_MIB = 10 * 1024
_HOST = re.compile(r"(?:https?://)?(?:[A-Za-z0-9*.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file. Raises InvalidArgument for a file that is missing or not meant like this."""
    content = _content(path)
    given = {name: _texts(content, name, path) for name in LISTS if name in content}
    return Policy(
        **{name: _limit(content, name, path) for name in LIMITS},
        allowed_commands=tuple(_pattern(text, path) for text in given.get("allowed_commands", ())),
        allowed_environment=given.get("allowed_environment"),
        refused_environment=given.get("refused_environment", ()),
        allowed_directories=_directories(given["allowed_directories"], path)
        if "allowed_directories" in given
        else None,
        allow_exclusive=_switch(content, "allow_exclusive", path),
        allow_inputs=_switch(content, "allow_inputs", path),
        allowed_choices={field: given.get(rule, ()) for field, rule in CHOICES.items()},
        allowed_mounts=tuple(_mount(text, path) for text in given.get("allowed_mounts", ())),
        input_sources=InputSources(
            hosts=tuple(_host(text, path) for text in given.get("allowed_input_hosts", ())),
            networks=tuple(_network(text, path) for text in given.get("allowed_input_networks", ())),
            most_bytes=(_limit(content, "max_input_mib", path) or MAX_INPUT_MIB) * 1024 * 1024,
        ),
    )


def _host(text: str, path: Path) -> str:
    if _HOST.fullmatch(text):
        return text.lower()
    words = f"{text!r} in {path} must be a host name, or a pattern such as *.example.org, with :PORT or http://"
    raise InvalidArgument(words, field="allowed_input_hosts")


def _network(text: str, path: Path) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        words = f"{text!r} in {path} is no network such as 10.1.0.0/16: {error}"
        raise InvalidArgument(words, field="allowed_input_networks") from error


def _content(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"cannot read the policy {path}: {why(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error
    if unknown := sorted(content.keys() - set(ENTRIES)):
        raise InvalidArgument(f"{path}: there is no {', '.join(unknown)}; known are {', '.join(ENTRIES)}")
    if content.get("allowed_commands") == []:
        raise InvalidArgument(f"is empty in {path}; leave it out to allow all commands", field="allowed_commands")
    return content


def _limit(content: Mapping[str, Any], name: str, path: Path) -> int:
    value = content.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidArgument(f"must be a whole number from 0 in {path}; 0 means no limit", field=name)
    return value


def _switch(content: Mapping[str, Any], name: str, path: Path) -> bool:
    value = content.get(name, False)
    if not isinstance(value, bool):
        raise InvalidArgument(f"must be true or false in {path}", field=name)
    return value


def _mount(text: str, path: Path) -> AllowedMount:
    if rule := allowed_mount(text):
        return rule
    raise InvalidArgument(
        f"{text!r} in {path} must be SOURCE, SOURCE:TARGET, or either with :ro, absolute paths without ..",
        field="allowed_mounts",
    )


def _texts(content: Mapping[str, Any], name: str, path: Path) -> tuple[str, ...]:
    value = content[name]
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise InvalidArgument(f"must be a list of strings that are not empty in {path}", field=name)
    return tuple(value)


def _directories(texts: tuple[str, ...], path: Path) -> tuple[PurePosixPath, ...]:
    places = tuple(PurePosixPath(text) for text in texts)
    if not all(place.is_absolute() and ".." not in place.parts for place in places):
        raise InvalidArgument(f"must be absolute paths without .. in {path}", field="allowed_directories")
    return places


def _pattern(text: str, path: Path) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidArgument(
            f"{text!r} in {path} is not a regular expression: {error}", field="allowed_commands"
        ) from error
