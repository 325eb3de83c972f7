"""Jobs as the IRI Facility API shows them."""

import shlex
from datetime import datetime
from typing import Any

from jobs.iri.requests import MIB
from jobs.iri.states import STATE_OF
from jobs.queries.found_job import FoundJob
from jobs.states import JobState


def launched(job: FoundJob) -> dict[str, Any]:
    """A job as it was launched, which it says the same of at any time."""
    return {"id": str(job.id), "status": {"state": "queued", "time": job.submitted_at.timestamp()}}


def shown(job: FoundJob, *, message: str = "", include_spec: bool = False) -> dict[str, Any]:
    """`message` is why it waits, where that is known."""
    status: dict[str, Any] = {"state": STATE_OF[job.state], "time": _since(job).timestamp()}
    if said := message or job.reason:
        status["message"] = said
    if job.exit_code is not None:
        status["exit_code"] = job.exit_code
    status["meta_data"] = _meta_data(job)
    spec = {"job_spec": spec_of(job)} if include_spec else {}
    return {"id": str(job.id), "status": status, **spec}


def spec_of(job: FoundJob) -> dict[str, Any]:
    """A JobSpec that asks for the same, as far as one can say it."""
    executable, *arguments = _words(job.command)
    said = {
        "executable": executable,
        "arguments": arguments,
        "name": job.name,
        "directory": job.working_directory,
        "environment": dict(job.environment),
        "resources": _resources(job),
        "attributes": _attributes(job),
        "container": _container(job),
    }
    return _without_empty(said)


def _since(job: FoundJob) -> datetime:
    """When it came into its state."""
    if job.state == JobState.LOST:
        return job.lost_at or job.submitted_at
    found = job.finished_at if job.final else job.started_at if job.state == JobState.RUNNING else job.accepted_at
    return found or job.submitted_at


def _meta_data(job: FoundJob) -> dict[str, Any]:
    said = {
        "state": job.state.value,
        "cluster": job.cluster,
        "pool": job.pool,
        "project": job.project,
        "attempt": job.attempt,
        "native_id": job.native_id,
        "end_cause": job.end_cause,
    }
    return _without_empty(said)


def _words(command: str) -> list[str]:
    """What a shell would make of a command that is one plain call; the shell itself for all others."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    return words if words and shlex.join(words) == command else ["/bin/sh", "-c", command]


def _resources(job: FoundJob) -> dict[str, Any]:
    said = _without_empty({
        "process_count": job.tasks,
        "cpu_cores_per_process": job.cores_per_task,
        "gpu_cores_per_process": job.gpus_per_task,
        "memory": job.memory_mib_per_node * job.nodes * MIB,
    })  # fmt: skip
    return {"node_count": job.nodes, **said, "exclusive_node_use": job.exclusive}


def _attributes(job: FoundJob) -> dict[str, Any]:
    custom = {
        "constraint": job.constraint,
        "gpu_type": job.gpu_type,
        "priority": str(job.priority or ""),
        "project": job.project,
        "qos": job.qos,
    }
    said = {
        "duration": job.time_limit_seconds,
        "queue_name": job.partition,
        "account": job.account,
        "reservation_id": job.reservation,
        "custom_attributes": _without_empty(custom),
    }
    return _without_empty(said)


def _container(job: FoundJob) -> dict[str, Any] | None:
    if not job.image:
        return None
    mounts = []
    for mount in job.mounts:
        source, target, *read_only = mount.split(":")
        mounts.append({"source": source, "target": target, "read_only": bool(read_only)})
    return {"image": job.image, "volume_mounts": mounts}


def _without_empty(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value}
