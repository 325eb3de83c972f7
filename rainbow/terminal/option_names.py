"""Names of options in place of field names in a server's errors."""

import click

from rainbow.errors import RainbowError

# Fields whose option stores its value under another name. Of several options, the first that the command has.
OPTIONS = {
    "agent": ("--agent", "--name"),
    "jobids": ("ID",),
    "label": ("--label",),
    "name": ("--job-name", "NAME", "--cluster-name"),
}


def as_typed(error: RainbowError, command: click.Command | None) -> str:
    option = _option_of(error.field, command) if command else error.field
    return f"{option}: {error.message}" if option else error.message


def _option_of(field: str, command: click.Command) -> str:
    if field in OPTIONS:
        had = {name for param in command.params for name in _names(param)}
        return next((name for name in OPTIONS[field] if name in had), field)
    return next((max(param.opts, key=len) for param in command.params if param.name == field), field)


def _names(param: click.Parameter) -> list[str]:
    if isinstance(param, click.Argument):
        return [(param.metavar or "").removesuffix("...").strip("[]")]
    return param.opts
