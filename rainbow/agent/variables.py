"""The variables that every job finds in its environment, whatever runs it."""

from dataclasses import replace

from rainbow.arrays import ARRAY_JOB_ID, group_told
from rainbow.rules import MAX_INT
from rainbow.specs import Work

# In the scripts of arrays of earlier releases, which know no job without a group: resubmissions of these have none.
NEEDS_A_GROUP = "$((3000000000 + RAINBOW_GROUP))"


def with_variables(work: Work, *, jobid: int, attempt: int, cluster: str) -> Work:
    """Submitters cannot set these: the rules of a job refuse the names (OWN_VARIABLES in rainbow/specs.py)."""
    own = {"RAINBOW_JOB_ID": str(jobid), "RAINBOW_ATTEMPT": str(attempt), "RAINBOW_CLUSTER": cluster}
    group = work.group
    if work.array_index is not None:
        group = group_told(group, work.environment)
        own |= {"RAINBOW_ARRAY_INDEX": str(work.array_index), "SLURM_ARRAY_TASK_ID": str(work.array_index)}
        own |= {ARRAY_JOB_ID: str(group or jobid), "FLUX_JOB_CC": str(work.array_index)}
        if NEEDS_A_GROUP in work.command:
            group = group or MAX_INT + 1 + jobid  # no group has it, and no other job
    if group:
        own["RAINBOW_GROUP"] = str(group)
    return replace(work, environment={**work.environment, **own})
