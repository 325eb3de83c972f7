"""What a site lets its agent take, from a file that the site's people write."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rainbow.errors import InvalidArgument, why
from rainbow.executors import Work

LIMITS = ("max_nodes", "max_tasks", "max_time_limit_seconds")
LISTS = ("allowed_commands", "refused_environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of 0 and empty lists allow all.

    A command must match one of `allowed_commands`, regular expressions, from its first character to its last.
    No variable of a job may have a name that matches one of `refused_environment`, patterns such as `LD_*`.
    """

    max_nodes: int = 0
    max_tasks: int = 0
    max_time_limit_seconds: int = 0
    allowed_commands: tuple[re.Pattern[str], ...] = ()
    refused_environment: tuple[str, ...] = ()

    def check(self, work: Work) -> str | None:
        """Why the site does not take this work, for its submitter to read; None if it does."""
        return (
            _above("nodes", work.nodes, self.max_nodes)
            or _above("tasks", work.tasks, self.max_tasks)
            or self._time_refused(work.time_limit_seconds)
            or self._command_refused(work.command)
            or self._environment_refused(work.environment)
        )

    def _time_refused(self, seconds: int) -> str | None:
        limit = self.max_time_limit_seconds
        if limit and not seconds:
            return f"this cluster takes only jobs with a time limit, of at most {limit} seconds"
        return _above("seconds of time limit", seconds, limit)

    def _command_refused(self, command: str) -> str | None:
        if not self.allowed_commands or any(pattern.fullmatch(command) for pattern in self.allowed_commands):
            return None
        return "the command is none of those that this cluster allows"

    def _environment_refused(self, environment: Mapping[str, str]) -> str | None:
        patterns = self.refused_environment
        refused = sorted(name for name in environment if any(fnmatchcase(name, pattern) for pattern in patterns))
        return f"this cluster lets no job set {', '.join(refused)}" if refused else None


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
    return Policy(
        **{name: _limit(content, name, path) for name in LIMITS},
        allowed_commands=tuple(_pattern(text, path) for text in _texts(content, "allowed_commands", path)),
        refused_environment=_texts(content, "refused_environment", path),
    )


def _above(what: str, value: int, limit: int) -> str | None:
    return f"{value} {what} are more than the {limit} that this cluster allows" if limit and value > limit else None


def _limit(content: Mapping[str, Any], name: str, path: Path) -> int:
    value = content.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidArgument(f"must be a whole number from 0 in {path}; 0 means no limit", field=name)
    return value


def _texts(content: Mapping[str, Any], name: str, path: Path) -> tuple[str, ...]:
    value = content.get(name, [])
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise InvalidArgument(f"must be a list of strings that are not empty in {path}", field=name)
    return tuple(value)


def _pattern(text: str, path: Path) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidArgument(
            f"{text!r} in {path} is not a regular expression: {error}", field="allowed_commands"
        ) from error
