"""The variables that every job finds in its environment, whatever runs it."""

from dataclasses import replace

from rainbow.specs import Work


def with_variables(work: Work, *, jobid: int, attempt: int, cluster: str) -> Work:
    """Submitters cannot set these: the rules of a job refuse the names (OWN_VARIABLES in rainbow/specs.py)."""
    own = {"RAINBOW_JOB_ID": str(jobid), "RAINBOW_ATTEMPT": str(attempt), "RAINBOW_CLUSTER": cluster}
    return replace(work, environment={**work.environment, **own})
