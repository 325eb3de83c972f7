"""Which jobs a site takes, from its policy file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from rainbow.agent.bounded_regex import TookTooLong, matches
from rainbow.errors import InvalidArgument, why
from rainbow.specs import Work
from rainbow.text import on_one_line

LIMITS = ("max_nodes", "max_tasks", "max_time_limit_seconds")
LISTS = ("allowed_commands", "allowed_environment", "refused_environment", "allowed_directories")
# How many of the refused names of variables a reason lists.
MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of 0, and what is None or left out, allow all.

    A command must be one line, and match one of `allowed_commands`, regular expressions, from its first character to
    its last. A variable's name must match one of `allowed_environment`, patterns such as `OMP_*`, and none of
    `refused_environment`. A working directory must be one of `allowed_directories` or lie below.

    A list of commands would be worth nothing if a job chose what else makes them do something: with one, no variable
    and no working directory passes that is not allowed by name.
    """

    max_nodes: int = 0
    max_tasks: int = 0
    max_time_limit_seconds: int = 0
    allowed_commands: tuple[re.Pattern[str], ...] = ()
    allowed_environment: tuple[str, ...] | None = None
    refused_environment: tuple[str, ...] = ()
    allowed_directories: tuple[PurePosixPath, ...] | None = None

    def check(self, work: Work) -> str | None:
        """Why the site does not take this work, for its submitter to read; None if it does."""
        return (
            _above("nodes", work.nodes, self.max_nodes)
            or _above("tasks", work.tasks, self.max_tasks)
            or self._time_refused(work.time_limit_seconds)
            or self._command_refused(work.command)
            or self._environment_refused(work.environment)
            or self._directory_refused(work.working_directory)
        )

    def _time_refused(self, seconds: int) -> str | None:
        limit = self.max_time_limit_seconds
        if limit and not seconds:
            return f"this cluster takes only jobs with a time limit, of at most {limit} seconds"
        return _above("seconds of time limit", seconds, limit)

    def _command_refused(self, command: str) -> str | None:
        if not self.allowed_commands:
            return None
        # A line's end begins another command, and patterns such as \s and [^;] let it through unnoticed.
        if "\n" in command:
            return "this cluster allows only commands of one line"
        try:
            allowed = any(matches(pattern, command) for pattern in self.allowed_commands)
        except TookTooLong:
            return "the command takes too long to be compared with those that this cluster allows"
        return None if allowed else "the command is none of those that this cluster allows"

    def _environment_refused(self, environment: Mapping[str, str]) -> str | None:
        refused = sorted(name for name in environment if not self._is_variable_allowed(name))
        if not refused:
            return None
        more = f" and {len(refused) - MOST_NAMES} others" if len(refused) > MOST_NAMES else ""
        return on_one_line(f"this cluster lets no job set {', '.join(refused[:MOST_NAMES])}{more}")

    def _is_variable_allowed(self, name: str) -> bool:
        if any(fnmatchcase(name, pattern) for pattern in self.refused_environment):
            return False
        if self.allowed_environment is None:
            return not self.allowed_commands
        return any(fnmatchcase(name, pattern) for pattern in self.allowed_environment)

    def _directory_refused(self, directory: str) -> str | None:
        if not directory or (self.allowed_directories is None and not self.allowed_commands):
            return None
        path = PurePosixPath(directory)
        allowed = self.allowed_directories or ()
        if ".." not in path.parts and any(path.is_relative_to(place) for place in allowed):
            return None
        places = f"; it allows {', '.join(map(str, allowed))}" if allowed else ""
        return on_one_line(f"this cluster lets no job choose the working directory {directory}{places}", longest=1000)


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file. Raises InvalidArgument for a file that is missing or not meant like this."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"cannot read the policy {path}: {why(error)}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error
    unknown = sorted(content.keys() - {*LIMITS, *LISTS})
    if unknown:
        raise InvalidArgument(f"{path}: there is no {', '.join(unknown)}; known are {', '.join((*LIMITS, *LISTS))}")
    if content.get("allowed_commands") == []:
        raise InvalidArgument(f"is empty in {path}; leave it out to allow all commands", field="allowed_commands")
    given = {name: _texts(content, name, path) for name in LISTS if name in content}
    return Policy(
        **{name: _limit(content, name, path) for name in LIMITS},
        allowed_commands=tuple(_pattern(text, path) for text in given.get("allowed_commands", ())),
        allowed_environment=given.get("allowed_environment"),
        refused_environment=given.get("refused_environment", ()),
        allowed_directories=_directories(given["allowed_directories"], path)
        if "allowed_directories" in given
        else None,
    )


def _above(what: str, value: int, limit: int) -> str | None:
    return f"{value} {what} are more than the {limit} that this cluster allows" if limit and value > limit else None


def _limit(content: Mapping[str, Any], name: str, path: Path) -> int:
    value = content.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidArgument(f"must be a whole number from 0 in {path}; 0 means no limit", field=name)
    return value


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
