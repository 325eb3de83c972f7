"""Jobspecs of the later generation ("nextgen", version 1), as jobs of ours.

Counts below a slot, which is what has `replicas`, are those of the slot in all: so the published client writes a
command's nodes and tasks. Above a slot, and without one, they multiply.
"""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from grpc_api.later.documents import load
from jobs.queries.queue import QueuedJob
from jobs.specs import ASKED_FIELDS, MAX_INT, JobSpec
from rainbow.errors import InvalidArgument

MAX_BYTES = 64 * 1024
_STRUCTURE = frozenset({"cluster", "rack", "chassis", "blade", "socket", "slot"})
_COUNTED = frozenset({"node", "core", "gpu", "memory"})
_TOP = frozenset({"version", "name", "resources", "tasks", "task", "requires", "attributes"})
_TASK = frozenset({"name", "command", "resources", "replicas", "requires", "attributes"})
_RESOURCE = frozenset({"type", "count", "replicas", "unit", "label", "exclusive", "requires", "attributes", "with",
                       "schedule"})  # fmt: skip
# Those of `parameter` are for the selection of a cluster.
_ATTRIBUTES = frozenset({"duration", "cwd", "environment", "parameter"})
_WRITTEN = frozenset({"gpus_per_task", "memory_mib_per_node", "exclusive", "needs", "group"})
_UNWRITTEN = tuple(name for name in ASKED_FIELDS if name not in _WRITTEN)
_REQUIRED = re.compile(r"(?P<name>[^.=>]+)\.(?P<field>[^=>]+)=(?P<match>.+)", re.DOTALL)
_MIB = {"": 1.0, "MB": 1_000_000 / 2**20, "MiB": 1.0, "GB": 1_000_000_000 / 2**20, "GiB": 1024.0}


def read_jobspec(text: str, *, name: str = "") -> JobSpec:
    """Raises InvalidArgument with the path of what has no meaning here."""
    said = _mapping(load(text, field="jobspec", most_bytes=MAX_BYTES), "jobspec", _TOP)
    if said.get("version") != 1:
        raise InvalidArgument("must be 1", field="jobspec.version")
    task = _mapping(_task(said), "jobspec.tasks[0]", _TASK)
    if task.get("replicas", 1) != 1:
        raise InvalidArgument("must be 1; submit as many jobs instead", field="jobspec.tasks[0].replicas")
    where, resource = _resource_of(task, said)
    asked = _Asked()
    if resource is not None:
        asked.read(resource, where, times=1, in_slot=False)
    asked.needs += [*_needs(said.get("requires"), "jobspec.requires")]
    attributes = {**_attributes(said, "jobspec"), **_attributes(task, "jobspec.tasks[0]")}
    return JobSpec(
        name=name or _text(said.get("name", ""), "jobspec.name"),
        command=_command(task.get("command")),
        environment=_environment(attributes.get("environment", {})),
        working_directory=_text(attributes.get("cwd", ""), "jobspec.attributes.cwd"),
        time_limit_seconds=_seconds(attributes.get("duration", 0)),
        **asked.sizes(),
    )


def can_be_written(job: QueuedJob) -> bool:
    """Whether a jobspec says all that the job asks for, which it does not of an image, or of an index of an array.

    Of a pool's job little is told before it is accepted.
    """
    if job.pool or job.array_index is not None or any(getattr(job, name) for name in _UNWRITTEN):
        return False
    return all(map(_REQUIRED.fullmatch, job.needs))


def written(job: QueuedJob) -> str:
    """A job as such a jobspec, in the simple form of the published client."""
    rack = {"type": "rack", "replicas": 1, "with": [_node_of(job)]}
    if job.needs:
        found = filter(None, map(_REQUIRED.fullmatch, job.needs))
        rack["requires"] = [{"name": one["name"], "field": one["field"], "match": one["match"]} for one in found]
    attributes = {
        "duration": job.time_limit_seconds,
        "cwd": job.working_directory,
        "environment": dict(job.environment),
    }
    content: dict[str, Any] = {
        "version": 1,
        "name": job.name or "job",
        "resources": {"rack": rack},
        "tasks": [{"command": _words(job.command), "resources": "rack"}],
    }
    if said := {name: value for name, value in attributes.items() if value}:
        content["attributes"] = said
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False)


def _node_of(job: QueuedJob) -> dict[str, Any]:
    tasks = max(1, job.tasks)
    parts: list[dict[str, Any]] = [{"type": "core", "count": tasks}]
    if job.gpus_per_task:
        parts.append({"type": "gpu", "count": tasks * job.gpus_per_task})
    if job.memory_mib_per_node:
        parts.append({"type": "memory", "count": job.nodes * job.memory_mib_per_node, "unit": "MiB"})
    exclusive = {"exclusive": True} if job.exclusive else {}
    return {"type": "node", "count": job.nodes, **exclusive, "with": parts}


@dataclass(slots=True)
class _Asked:
    counts: Counter[str] = field(default_factory=Counter)
    memory_mib: float = 0
    exclusive: bool = False
    needs: list[str] = field(default_factory=list)

    def read(self, resource: object, where: str, *, times: int, in_slot: bool) -> None:
        """No deeper than what was loaded."""
        its = _mapping(resource, where, _RESOURCE)
        kind = _text(its.get("type"), f"{where}.type")
        if kind not in _STRUCTURE | _COUNTED:
            allowed = ", ".join(sorted(_STRUCTURE | _COUNTED))
            raise InvalidArgument(f"must be one of {allowed}", field=f"{where}.type")
        replicas, count = (
            _number(its.get("replicas", 0), f"{where}.replicas"),
            _number(its.get("count", 1), f"{where}.count"),
        )
        here = times * max(1, replicas) * max(1, count)
        if here > MAX_INT:
            raise InvalidArgument("asks for too much", field=f"{where}.count")
        if kind == "memory":
            self.memory_mib += here * _MIB[_unit(its, where)]
        elif kind in _COUNTED:
            self.counts[kind] += here
        self.exclusive = self.exclusive or (kind == "node" and its.get("exclusive") is True)
        self.needs += _needs(its.get("requires"), f"{where}.requires")
        inside = in_slot or replicas > 0
        below = times if in_slot else times * max(1, replicas) if replicas else here
        for place, part in enumerate(_list(its.get("with", []), f"{where}.with")):
            self.read(part, f"{where}.with[{place}]", times=below, in_slot=inside)

    def sizes(self) -> dict[str, Any]:
        nodes, tasks, gpus = max(1, self.counts["node"]), self.counts["core"], self.counts["gpu"]
        if gpus % max(1, tasks):
            raise InvalidArgument("must be as many of each task", field="jobspec.resources")
        return {
            "nodes": nodes,
            "tasks": tasks,
            "gpus_per_task": gpus // max(1, tasks),
            "memory_mib_per_node": math.ceil(self.memory_mib / nodes),
            "exclusive": self.exclusive,
            "needs": tuple(self.needs),
        }


def _task(said: Mapping[str, Any]) -> object:
    """The published examples have `task` as well as `tasks`."""
    tasks = [said["task"]] if "task" in said else _list(said.get("tasks", []), "jobspec.tasks")
    if len(tasks) != 1:
        raise InvalidArgument("must be one task", field="jobspec.tasks")
    return tasks[0]


def _resource_of(task: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[str, object]:
    resources = _mapping(said.get("resources", {}), "jobspec.resources")
    name = task.get("resources", next(iter(resources), None))
    if "resources" not in task and len(resources) > 1:
        raise InvalidArgument("must name one of the resources", field="jobspec.tasks[0].resources")
    if name is not None and name not in resources:
        raise InvalidArgument("must name one of the resources", field="jobspec.tasks[0].resources")
    return f"jobspec.resources.{name}", resources[name] if name is not None else None


def _needs(requires: object, where: str) -> Iterator[str]:
    """Of a resource a list, of a jobspec lists by name."""
    groups = requires.values() if isinstance(requires, dict) else [requires or []]
    for group in groups:
        for place, one in enumerate(_list(group, where)):
            its = _mapping(one, f"{where}[{place}]", frozenset({"name", "field", "match"}))
            name, key, value = (_text(its.get(part), f"{where}[{place}].{part}") for part in ("name", "field", "match"))
            yield f"{name}.{key}={value}"


def _attributes(said: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    return _mapping(said.get("attributes") or {}, f"{where}.attributes", _ATTRIBUTES)


def _environment(said: object) -> dict[str, str]:
    its = _mapping(said, "jobspec.attributes.environment")
    return {name: _text(value, f"jobspec.attributes.environment.{name}") for name, value in sorted(its.items())}


def _command(said: object) -> str:
    if isinstance(said, str):
        return said
    return shlex.join(_text(word, "jobspec.tasks[0].command") for word in _list(said, "jobspec.tasks[0].command"))


def _words(command: str) -> list[str]:
    """The words of a command that is no more than words; the shell's otherwise."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    return words if shlex.join(words) == command else ["/bin/sh", "-c", command]


def _seconds(said: object) -> int:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= MAX_INT:
        raise InvalidArgument("must be a number of seconds", field="jobspec.attributes.duration")
    return math.ceil(said)


def _unit(its: Mapping[str, Any], where: str) -> str:
    unit = its.get("unit") or ""
    if unit not in _MIB:
        raise InvalidArgument(f"must be one of {', '.join(filter(None, _MIB))}", field=f"{where}.unit")
    return str(unit)


def _number(said: object, where: str) -> int:
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= MAX_INT:
        raise InvalidArgument(f"must be a number from 0 to {MAX_INT:,}", field=where)
    return said


def _text(said: object, where: str) -> str:
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        raise InvalidArgument("must be a text", field=where)
    return str(said)


def _list(said: object, where: str) -> list[Any]:
    if not isinstance(said, list):
        raise InvalidArgument("must be a list", field=where)
    return said


def _mapping(said: object, where: str, known: Iterable[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(said, dict) or not all(isinstance(name, str) for name in said):
        raise InvalidArgument("must be a mapping with names", field=where)
    if known is not None and (further := sorted(said.keys() - set(known))):
        raise InvalidArgument("has no meaning here", field=f"{where}.{further[0][:40]}")
    return said
