"""What people call the fields of messages that a server complains of."""

import click

from rainbow.errors import RainbowError

# Of several options, the first that the command has.
OPTIONS = {
    "agent": ("--agent", "--name"),
    "ca_file": ("--ca-file",),
    "cluster": ("--cluster-name",),
    "environment": ("--env",),
    "grace_seconds": ("--grace",),
    "idempotency_key": ("--key",),
    "jobids": ("ID",),
    "label": ("--label",),
    "labels": ("--label",),
    "lease_seconds": ("--lease",),
    "max_nodes": ("--max-nodes",),
    "max_tasks": ("--max-tasks",),
    "name": ("--job-name", "--cluster-name"),
    "nodes": ("--nodes",),
    "priority": ("--priority",),
    "reason": ("--reason",),
    "tasks": ("--tasks",),
    "time_limit_seconds": ("--time-limit",),
    "wait_seconds": ("--wait",),
    "working_directory": ("--workdir",),
}


def as_typed(error: RainbowError, command: click.Command | None) -> str:
    """The failure, with the option's name in place of the field's where the command has one."""
    had = {name for param in command.params for name in _names(param)} if command else set[str]()
    option = next((name for name in OPTIONS.get(error.field, ()) if name in had), error.field)
    return f"{option}: {error.message}" if option else error.message


def _names(param: click.Parameter) -> list[str]:
    if isinstance(param, click.Argument):
        return [(param.metavar or "").removesuffix("...")]
    return param.opts
