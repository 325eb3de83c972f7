"""What a JobSpec of the IRI Facility API asks of a job here. What has no meaning here is refused by its name."""

import shlex
from collections.abc import Mapping
from typing import Any

from jobs.specs import MAX_PRIORITY, JobSpec
from rainbow.errors import InvalidArgument

MIB = 2**20
# Where in a JobSpec each field of a job is said, for errors.
PLACES: Mapping[str, str] = {
    "command": "executable",
    "nodes": "resources.node_count",
    "tasks": "resources.process_count",
    "cores_per_task": "resources.cpu_cores_per_process",
    "gpus_per_task": "resources.gpu_cores_per_process",
    "memory_mib_per_node": "resources.memory",
    "exclusive": "resources.exclusive_node_use",
    "time_limit_seconds": "attributes.duration",
    "partition": "attributes.queue_name",
    "account": "attributes.account",
    "reservation": "attributes.reservation_id",
    "working_directory": "directory",
    "image": "container.image",
    "mounts": "container.volume_mounts",
    "constraint": "attributes.custom_attributes.constraint",
    "qos": "attributes.custom_attributes.qos",
    "gpu_type": "attributes.custom_attributes.gpu_type",
    "priority": "attributes.custom_attributes.priority",
    "project": "attributes.custom_attributes.project",
    "idempotency_key": "Idempotency-Key",
}
CUSTOM = ("constraint", "gpu_type", "priority", "project", "qos")
# By the word of a JobSpec, what starts the processes of a job.
LAUNCHERS = {"single": "", "srun": "srun ", "mpirun": "mpirun ", "flux": "flux run "}
# They would be of the container's files and programs, and its processes are started by the cluster.
_NOT_WITH_A_CONTAINER = ("stdin_path", "stdout_path", "stderr_path", "pre_launch", "post_launch", "launcher")
_NO_MEANING = "has no meaning here; leave it out"
_MAX_NAMED = 63


def asked(said: Mapping[str, Any]) -> tuple[JobSpec, str]:
    """The job of a JobSpec that its serializer took, and the project that it names; empty if it names none.

    Raises InvalidArgument, with the place in the JobSpec. What a job may say is for the services to check.
    """
    _check_metadata(said)
    resources, attributes = said["resources"] or {}, said["attributes"] or {}
    custom = _custom(attributes.get("custom_attributes") or {})
    nodes, tasks = _processes(resources)
    spec = JobSpec(
        command=_command(said, tasks),
        name=said["name"] or "",
        nodes=nodes,
        tasks=tasks,
        cores_per_task=resources.get("cpu_cores_per_process") or 0,
        gpus_per_task=resources.get("gpu_cores_per_process") or 0,
        gpu_type=custom.get("gpu_type", ""),
        memory_mib_per_node=-(-(resources.get("memory") or 0) // (nodes * MIB)),
        exclusive=resources.get("exclusive_node_use", False),
        time_limit_seconds=attributes.get("duration") or 0,
        environment=said["environment"],
        working_directory=said["directory"] or "",
        priority=_priority(custom.get("priority", "0")),
        partition=attributes.get("queue_name") or "",
        account=attributes.get("account") or "",
        reservation=attributes.get("reservation_id") or "",
        constraint=custom.get("constraint", ""),
        qos=custom.get("qos", ""),
        image=said["container"]["image"] if said["container"] else "",
        mounts=_mounts(said["container"]),
    )
    return spec, custom.get("project", "")


def place_of(field: str) -> str:
    return PLACES.get(field, field)


def _check_metadata(said: Mapping[str, Any]) -> None:
    described = {name: said[name] or {} for name in ("resources", "attributes", "container")}
    mounts = described["container"].get("volume_mounts", ())
    described |= {f"container.volume_mounts.{place}": mount for place, mount in enumerate(mounts)}
    for name, value in described.items():
        if value.get("attributes"):
            raise InvalidArgument(_NO_MEANING, field=f"{name}.attributes")
    if not said["inherit_environment"]:
        # Nothing of the submission's environment comes here; what a job has is the site's to say.
        raise InvalidArgument("must be true: a job has the environment of its site", field="inherit_environment")


def _custom(said: Mapping[str, str]) -> Mapping[str, str]:
    for name in said:
        if name not in CUSTOM:
            detail = f"must be one of {', '.join(CUSTOM)}"
            raise InvalidArgument(detail, field=f"attributes.custom_attributes.{name[:_MAX_NAMED]}")
    return said


def _priority(said: str) -> int:
    digits = said.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_PRIORITY)):
        return int(said)
    raise InvalidArgument(f"must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}", field="priority")


def _processes(resources: Mapping[str, Any]) -> tuple[int, int]:
    """How many nodes and processes. Any two of the three numbers give the third; 0 processes are not said."""
    nodes, processes, each = (
        resources.get(name) for name in ("node_count", "process_count", "processes_per_node")
    )  # fmt: skip
    if each is None:
        return nodes or 1, processes or 0
    if processes is None:
        return nodes or 1, (nodes or 1) * each
    if processes % each or nodes not in (None, processes // each):
        detail = "must divide process_count, into node_count where that is said"
        raise InvalidArgument(detail, field="resources.processes_per_node")
    return processes // each, processes


def _command(said: Mapping[str, Any], tasks: int) -> str:
    if said["executable"] is None:
        raise InvalidArgument("must say what to run", field="executable")
    line = shlex.join([said["executable"], *said["arguments"]])
    if said["container"]:
        for name in _NOT_WITH_A_CONTAINER:
            if said[name] is not None:
                raise InvalidArgument("cannot be said together with container", field=name)
        return line
    return _with_hooks(said, _launched(said["launcher"], tasks) + line + _redirected(said))


def _launched(launcher: str | None, tasks: int) -> str:
    if launcher is None:
        return ""
    if launcher not in LAUNCHERS:
        raise InvalidArgument(f"must be one of {', '.join(LAUNCHERS)}", field="launcher")
    return f"mpirun -np {tasks} " if launcher == "mpirun" and tasks else LAUNCHERS[launcher]


def _redirected(said: Mapping[str, Any]) -> str:
    marks = {"stdin_path": "<", "stdout_path": ">", "stderr_path": "2>"}
    return "".join(f" {mark} {shlex.quote(said[name])}" for name, mark in marks.items() if said[name] is not None)


def _with_hooks(said: Mapping[str, Any], line: str) -> str:
    """In the same shell, before and after; the job ends as what it runs does."""
    if said["pre_launch"] is not None:
        line = f"{said['pre_launch']}\n{line}"
    return line if said["post_launch"] is None else f"{line}\nended=$?\n{said['post_launch']}\nexit $ended"


def _mounts(container: Mapping[str, Any] | None) -> tuple[str, ...]:
    mounts = container["volume_mounts"] if container else ()
    for place, one in enumerate(mounts):
        for end in ("source", "target"):
            if ":" in one[end]:
                detail = "must not contain a colon"
                raise InvalidArgument(detail, field=f"container.volume_mounts.{place}.{end}")
    return tuple(f"{one['source']}:{one['target']}{':ro' if one['read_only'] else ''}" for one in mounts)
