"""The variables that every job finds in its environment, whatever runs it."""

from dataclasses import replace

from rainbow.specs import Work


def with_variables(work: Work, *, jobid: int, attempt: int, cluster: str) -> Work:
    """Submitters cannot set these: the rules of a job refuse the names (OWN_VARIABLES in rainbow/specs.py)."""
    own = {"RAINBOW_JOB_ID": str(jobid), "RAINBOW_ATTEMPT": str(attempt), "RAINBOW_CLUSTER": cluster}
    if work.group:
        own["RAINBOW_GROUP"] = str(work.group)
    if work.array_index is not None:
        own |= {"RAINBOW_ARRAY_INDEX": str(work.array_index), "SLURM_ARRAY_TASK_ID": str(work.array_index)}
        own |= {"SLURM_ARRAY_JOB_ID": str(work.group or jobid), "FLUX_JOB_CC": str(work.array_index)}
    return replace(work, environment={**work.environment, **own})
