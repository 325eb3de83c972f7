"""Names of options in place of field names in a server's errors."""

import re

import click

from rainbow.errors import RainbowError

# Fields whose option stores its value under another name. Of several options, the first that the command has.
OPTIONS = {
    "agent": ("--agent", "--name"),
    "jobids": ("ID",),
    "label": ("--label",),
    "name": ("--job-name", "NAME", "--cluster-name"),
}
# One field that wants another, and fields that are no words of English.
_NEEDS, _FIELD = re.compile(r"needs ([a-z_]+)"), re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


def as_typed(error: RainbowError, command: click.Command | None) -> str:
    if not command:
        return f"{error.field}: {error.message}" if error.field else error.message
    option, message = _option_of(error.field, command), _with_options(error, command)
    return f"{option}: {message}" if option else message


def _with_options(error: RainbowError, command: click.Command) -> str:
    """With options where the message names other fields. Needs have names of their own, of which some are the same."""
    if error.field == "needs" or not error.field:
        return error.message
    if needed := _NEEDS.fullmatch(error.message):
        return f"needs {_option_of(needed[1], command)}"
    return _FIELD.sub(lambda found: _option_of(found[0], command), error.message)


def _option_of(field: str, command: click.Command) -> str:
    if field in OPTIONS:
        had = {name for param in command.params for name in _names(param)}
        return next((name for name in OPTIONS[field] if name in had), field)
    return next((max(param.opts, key=len) for param in command.params if param.name == field), field)


def _names(param: click.Parameter) -> list[str]:
    if isinstance(param, click.Argument):
        return [(param.metavar or "").strip("[]").removesuffix("...")]
    return param.opts
