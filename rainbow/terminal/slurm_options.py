"""Options of `sbatch` that `rainbow submit` translates, or refuses with what to say instead."""

import re
from collections.abc import Callable
from typing import Any

import click

from rainbow.spec_rules import MAX_GPUS_PER_TASK, MAX_MEMORY_MIB_PER_NODE
from rainbow.terminal.types import Gpus, Memory

_GRES = re.compile(r"(?:gres:)?gpu(?::(?P<type>[A-Za-z][\w.-]*))?(?::(?P<number>\d{1,4}))?", re.ASCII)


def slurm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Their values are for `translated`."""
    for option in (
        click.option(
            "--gpus-per-node",
            type=Gpus(1, MAX_GPUS_PER_TASK),
            help="GPUs of each node, if its tasks share them evenly.",
        ),
        click.option("--gres", hidden=True),
        click.option("--mem-per-cpu", hidden=True),
    ):
        command = option(command)
    return command


def translated(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a job for what was given by options. Raises UsageError for what does not translate exactly."""
    fields = dict(given)
    gpus, gres, memory = (fields.pop(name, None) for name in ("gpus_per_node", "gres", "mem_per_cpu"))
    if gres is not None:
        raise click.UsageError(f"There is no --gres; say {_instead_of_gres(gres)}.")
    if memory is not None:
        raise click.UsageError(f"There is no --mem-per-cpu; say {_instead_of_memory_per_core(memory, fields)}.")
    if gpus is not None:
        if fields.get("gpus_per_task"):
            raise click.UsageError("Give either --gpus-per-task or --gpus-per-node, not both.")
        fields["gpus_per_task"] = _gpus_per_task(gpus, nodes=fields["nodes"], tasks=fields["tasks"])
    return fields


def _gpus_per_task(gpus: int, *, nodes: int, tasks: int) -> int:
    tasks_per_node = _tasks_per_node(nodes, tasks)
    if tasks_per_node is None:
        raise click.UsageError(
            f"--gpus-per-node: {tasks} tasks do not spread evenly over {nodes} nodes; say --gpus-per-task."
        )
    if gpus % tasks_per_node:
        raise click.UsageError(
            f"--gpus-per-node: {gpus} GPUs do not spread evenly over {tasks_per_node} tasks of a node;"
            " say --gpus-per-task."
        )
    return gpus // tasks_per_node


def _tasks_per_node(nodes: int, tasks: int) -> int | None:
    """None where some nodes have more than others. Without a number of tasks each node has one."""
    per_node, more = divmod(tasks or nodes, nodes)
    return None if more else per_node


def _instead_of_gres(gres: str) -> str:
    found = _GRES.fullmatch(gres)
    if not found:
        return "which GPUs with --gpus-per-task and --gpu-type, and other features of nodes with --constraint"
    return f"--gpus-per-node {found['number'] or 1}" + (f" --gpu-type {found['type']}" if found["type"] else "")


def _instead_of_memory_per_core(memory: str, fields: dict[str, Any]) -> str:
    tasks_per_node = _tasks_per_node(fields["nodes"], fields["tasks"])
    try:
        mib = Memory(highest_mib=MAX_MEMORY_MIB_PER_NODE).convert(memory, None, None)
    except click.BadParameter:
        mib = 0
    if not (mib and tasks_per_node):
        return "--memory, for each node"
    return f"--memory {mib * tasks_per_node * (fields['cores_per_task'] or 1)}M, for each node"
