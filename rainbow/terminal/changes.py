"""Changes of a job, in the words of the options of `rainbow submit`, and by their rules."""

from collections.abc import Collection, Iterable
from typing import Any

import click
from click.core import ParameterSource

from rainbow.specs import SPEC_FIELDS, OnLost

# What is of one submission alone, and files, which the new job has of the old one.
_FIXED = frozenset({"idempotency_key", "project", "signature", "resubmission_of", "inputs"})
_CHANGEABLE = frozenset(SPEC_FIELDS) - _FIXED
# Stands for the command where that is not changed.
_UNCHANGED = "unchanged"


def changes_from(said: Iterable[str], *, submit: click.Command) -> dict[str, Any]:
    """Fields of a JobSpec, from NAME=VALUE and NAME. Raises UsageError."""
    changeable = {
        name.removeprefix("--")
        for option in submit.params
        if option.name in _CHANGEABLE
        for name in option.opts
        if name.startswith("--")
    }
    ctx = _parsed([_option(one, changeable) for one in said], submit)
    changed = {
        name: value
        for name, value in ctx.params.items()
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if changed.get("command") == _UNCHANGED:
        del changed["command"]
    return {name: OnLost(value) if name == "on_lost" else value for name, value in changed.items()}


def _option(said: str, changeable: Collection[str]) -> str:
    name, equals, value = said.partition("=")
    if not name or name.startswith("-"):
        raise click.UsageError(f"--change: {said!r} has not the form NAME=VALUE, with an option of `rainbow submit`.")
    if name not in changeable:
        raise click.UsageError(f"--change: {name!r} cannot be changed; these can: {', '.join(sorted(changeable))}.")
    return f"--{name}{equals}{value}"


def _parsed(options: list[str], submit: click.Command) -> click.Context:
    command = [] if any(option.startswith("--command=") for option in options) else ["--command", _UNCHANGED]
    try:
        return submit.make_context("resubmit --change", [*command, *options])
    except click.UsageError as error:
        raise click.UsageError(f"--change: {error.format_message()}") from error
