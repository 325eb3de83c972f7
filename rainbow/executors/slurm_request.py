"""What a job asks of Slurm, as arguments of `sbatch` (sbatch(1)).

Each is one word of the form --option=value, and none passes a shell: no value can become an option.
"""

from rainbow.executors.sizes import total_tasks
from rainbow.spec_rules import SITE_OPTIONS
from rainbow.specs import Work


def resources(work: Work) -> list[str]:
    """A job without a size of its own gets what the partition gives by default.

    Slurm counts time in whole minutes, and memory on each node.
    """
    wanted = {
        "nodes": work.nodes,
        "ntasks": total_tasks(work),
        "cpus-per-task": work.cores_per_task,
        "gpus-per-task": _gpus(work),
        "mem": f"{work.memory_mib_per_node}M" if work.memory_mib_per_node else "",
        "time": -(-work.time_limit_seconds // 60),
        **{name: getattr(work, name) for name in SITE_OPTIONS},
    }
    exclusive = ["--exclusive"] if work.exclusive else []
    return [*(f"--{name}={value}" for name, value in wanted.items() if value), *exclusive]


def _gpus(work: Work) -> str:
    if not work.gpus_per_task:
        return ""
    return f"{work.gpu_type}:{work.gpus_per_task}" if work.gpu_type else str(work.gpus_per_task)
