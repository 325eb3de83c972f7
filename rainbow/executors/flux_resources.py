"""What a job asks of Flux, as arguments of `flux submit` (flux-submit(1)), each one word of the form --option=value."""

from rainbow.executors.sizes import total_tasks
from rainbow.executors.unavailable import refusal
from rainbow.specs import Work

# Resources of a jobspec are nodes, slots, cores and GPUs (Flux RFC 25), so nothing says memory or the type of a GPU.
MISSING = {
    "gpu_type": "Flux gives GPUs of no particular type; say it by constraint, where nodes have such a property",
    "memory_mib_per_node": "Flux gives no memory",
    "qos": "Flux has none; say a partition, which is a queue of Flux, or an account, which is a bank",
    "reservation": "Flux has none",
}


def not_in_flux(work: Work) -> str:
    """Why Flux can never run it; empty where it can."""
    return refusal(work, MISSING)


def resources(work: Work) -> list[str]:
    wanted = {
        "nodes": work.nodes,
        "ntasks": total_tasks(work),
        "cores-per-task": work.cores_per_task,
        "gpus-per-task": work.gpus_per_task,
        "time-limit": f"{work.time_limit_seconds}s" if work.time_limit_seconds else "",
        "queue": work.partition,
        "bank": work.account,
        "requires": work.constraint,
    }
    exclusive = ["--exclusive"] if work.exclusive else []
    return [*(f"--{name}={value}" for name, value in wanted.items() if value), *exclusive]
