"""The size of a job: nodes, tasks, cores, GPUs and memory, from what sbatch takes.

Here GPUs are those of each task and memory is that of each node. What does not come out even is refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rainbow.errors import InvalidArgument

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_GPUS = re.compile(r"(?:(?P<type>[A-Za-z][\w.-]*)(?::|$))?(?P<number>[0-9]{1,9})?", re.ASCII)
_MEMORY = re.compile(r"(?P<number>[0-9]{1,15})(?P<unit>[kmgt]?)b?", re.ASCII | re.IGNORECASE)
_GRES = re.compile(r"(?:gres[:/])?gpu(?::(?P<gpus>.+))?", re.ASCII)
_KIB = {"k": 1, "m": 1024, "": 1024, "g": 1024**2, "t": 1024**3}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    nodes: int
    tasks: int
    cores: int

    @property
    def all_tasks(self) -> int:
        return self.tasks or self.nodes

    def tasks_per_node(self, option: str) -> int:
        each, more = divmod(self.all_tasks, self.nodes)
        if more:
            raise InvalidArgument(
                f"--{option}: {self.all_tasks} tasks do not spread evenly over {self.nodes} nodes; change -n or -N"
            )
        return each


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gpus:
    number: int
    type: str


def sizes(options: Mapping[str, str]) -> dict[str, Any]:
    """Fields of a JobSpec, without those that are not said. Raises InvalidArgument."""
    layout = _layout(options)
    gpus = _gpus_per_task(options, layout)
    fields = {
        "nodes": layout.nodes,
        "tasks": layout.tasks,
        "cores_per_task": layout.cores,
        "gpus_per_task": gpus.number,
        "gpu_type": gpus.type,
        "memory_mib_per_node": _memory(options, layout, gpus.number),
        "exclusive": _exclusive(options),
    }
    return {name: value for name, value in fields.items() if value}


def _layout(options: Mapping[str, str]) -> _Layout:
    nodes, tasks, each = _nodes(options), _number(options, "ntasks"), _number(options, "ntasks-per-node")
    if each and tasks and not nodes:
        nodes = -(-tasks // each)
    nodes = nodes or 1
    if each and tasks > nodes * each:
        raise InvalidArgument(f"-n: {tasks} tasks are more than {each} on each of {nodes} nodes (--ntasks-per-node)")
    return _Layout(nodes=nodes, tasks=tasks or nodes * each, cores=_number(options, "cpus-per-task"))


def _nodes(options: Mapping[str, str]) -> int:
    """0 if not said."""
    text = options.get("nodes", "")
    least, dash, most = text.partition("-")
    if dash and least != most:
        raise InvalidArgument(f"-N {text}: say one number of nodes: a job is offered to clusters by its size")
    return _number({"nodes": least}, "nodes") if text else 0


def _number(options: Mapping[str, str], name: str) -> int:
    text = options.get(name)
    if text is None:
        return 0
    if not _NUMBER.fullmatch(text) or not int(text):
        raise InvalidArgument(f"--{name}: {text!r} is not a whole number from 1")
    return int(text)


def _gpus_per_task(options: Mapping[str, str], layout: _Layout) -> _Gpus:
    found = dict(_ways_to_say_gpus(options, layout))
    if len(set(found.values())) > 1:
        raise InvalidArgument(f"{' and '.join(found)} say different numbers or types of GPUs; give one of them")
    return next(iter(found.values()), _Gpus(number=0, type=""))


def _ways_to_say_gpus(options: Mapping[str, str], layout: _Layout) -> Iterator[tuple[str, _Gpus]]:
    """What each option that is said makes for each task."""
    for name, text in options.items():
        if name == "gpus-per-task":
            yield f"--{name}", _gpus_in(text, name)
        elif name in ("gpus-per-node", "gres") and (gpus := _of_a_node(name, text)):
            yield f"--{name}", _shared(gpus, layout.tasks_per_node(name), f"--{name}", "tasks of a node")
        elif name == "gpus":
            yield "--gpus", _shared(_gpus_in(text, name), layout.all_tasks, "--gpus", "tasks")


def _of_a_node(name: str, text: str) -> _Gpus | None:
    """None where there are none, as in --gres=none."""
    if name != "gres":
        return _gpus_in(text, name)
    found = [_GRES.fullmatch(part) for part in text.split(",") if part and part.lower() != "none"]
    if not found:
        return None
    if len(found) > 1 or found[0] is None:
        raise InvalidArgument(f"--gres={text}: only one kind of GPUs is known here; ask for other features with -C")
    return _gpus_in(found[0]["gpus"] or "1", name)


def _gpus_in(text: str, name: str) -> _Gpus:
    found = _GPUS.fullmatch(text)
    if not text or found is None:
        raise InvalidArgument(f"--{name}={text}: must be NUMBER or TYPE:NUMBER")
    number = int(found["number"]) if found["number"] else 1
    return _Gpus(number=number, type=found["type"] or "" if number else "")


def _shared(gpus: _Gpus, tasks: int, option: str, what: str) -> _Gpus:
    each, more = divmod(gpus.number, tasks)
    if more:
        raise InvalidArgument(
            f"{option}: {gpus.number} cannot be spread evenly over {tasks} {what}; say fewer tasks with -n, and their"
            " cores with -c"
        )
    return _Gpus(number=each, type=gpus.type)


def _memory(options: Mapping[str, str], layout: _Layout, gpus_per_task: int) -> int:
    """Whole MiB of each node, rounded up; 0 if not said."""
    if "mem" in options:
        return _mib(_kib(options["mem"], "mem"))
    if "mem-per-cpu" in options:
        cores = layout.tasks_per_node("mem-per-cpu") * (layout.cores or 1)
        return _mib(_kib(options["mem-per-cpu"], "mem-per-cpu") * cores)
    if "mem-per-gpu" in options:
        gpus = layout.tasks_per_node("mem-per-gpu") * gpus_per_task
        if not gpus:
            raise InvalidArgument("--mem-per-gpu needs a number of GPUs")
        return _mib(_kib(options["mem-per-gpu"], "mem-per-gpu") * gpus)
    return 0


def _mib(kib: int) -> int:
    return -(-kib // 1024)


def _kib(text: str, name: str) -> int:
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise InvalidArgument(f"--{name}={text}: must be a whole number with K, M, G or T; M if none stands there")
    if not int(found["number"]):
        raise InvalidArgument(f"--{name}=0 means all memory of a node in Slurm; say how much, or --exclusive alone")
    return int(found["number"]) * _KIB[found["unit"].lower()]


def _exclusive(options: Mapping[str, str]) -> bool:
    how = options.get("exclusive")
    if how:
        raise InvalidArgument(f"--exclusive={how}: only whole nodes are known here: --exclusive")
    return how is not None
