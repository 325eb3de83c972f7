"""What a job of Snakemake asks of a rainbow job, by its threads and resources."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from rainbow.records import JobSpec

# By the resource's name in a workflow, of which many are those that the plugin for Slurm knows.
NAMES: Mapping[str, str] = {
    "nodes": "nodes",
    "tasks": "tasks",
    "cpus_per_task": "cores_per_task",
    "mem_mb": "memory_mib_per_node",
    "runtime": "time_limit_seconds",
    "gpu": "gpus_per_task",
    "gpu_model": "gpu_type",
    "slurm_partition": "partition",
    "slurm_account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "reservation": "reservation",
    "rainbow_needs": "needs",
    "rainbow_priority": "priority",
}
_NUMBERS = frozenset({
    "nodes", "tasks", "cores_per_task", "memory_mib_per_node", "time_limit_seconds", "gpus_per_task", "priority",
})  # fmt: skip


# Of a job the mark that later runs know it by, and of all jobs of a folder.
MARK, FOLDER = "snakemake-job", "snakemake-folder"
NO_MARK = "none"


def spec_of(
    job: Any, *, command: str, run: str, folder: str = "", leave_out: Collection[str] = (), after: int = 0
) -> JobSpec:
    """Raises ValueError for a resource that is no number where one is needed.

    The key lets a submission whose answer was lost be repeated without a second job. `after`: a job that has to be over
    first, however it ends.
    """
    named = {name: job.resources.get(name) for name in NAMES if name not in leave_out}
    said = {NAMES[name]: _value(name, value) for name, value in named.items() if value not in (None, "")}
    if job.threads > 1 and "cores_per_task" not in said and "cpus_per_task" not in leave_out:
        said["cores_per_task"] = job.threads
    rule = job.name
    return JobSpec(
        command=command,
        name=f"snakemake {rule}"[:255],
        labels={"snakemake-run": run, "snakemake-rule": rule[:255], FOLDER: digest(folder), MARK: mark_of(job)},
        after=(f"any:{after}",) if after else (),
        idempotency_key=f"snakemake/{run}/{job.jobid}/{job.attempt}",
        **said,
    )


def mark_of(job: Any) -> str:
    """The same in each run of a workflow; none has a job without output, which cannot be told from others."""
    return digest(f"{job.name}\n{chr(10).join(sorted(map(str, job.output)))}") if job.output else NO_MARK


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _value(name: str, value: Any) -> Any:
    field = NAMES[name]
    if field == "needs":
        return tuple(str(value).split(","))
    if field not in _NUMBERS:
        return str(value)
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise ValueError(f"resource {name} must be a whole number, not {value!r}") from None
    # Snakemake has minutes.
    return number * 60 if field == "time_limit_seconds" else number
