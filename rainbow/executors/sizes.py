"""How much a job takes in all. Tasks that were not said are one for each node."""

from rainbow.specs import Work


def total_tasks(work: Work) -> int:
    return max(work.nodes, work.tasks)


def total_cores(work: Work) -> int:
    return total_tasks(work) * max(work.cores_per_task, 1)


def total_gpus(work: Work) -> int:
    return total_tasks(work) * work.gpus_per_task
