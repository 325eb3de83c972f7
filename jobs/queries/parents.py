"""The jobs that a blocked job waits for."""

from jobs.after import Wants
from jobs.models import Job, JobDependency
from jobs.states import JobState

_SHOWN = 3


def waited_for(job: Job) -> str:
    """The first few with their states, and the number of the others."""
    waiting = JobDependency.objects.filter(job_id=job.id).order_by("parent_id", "wants")
    first = [_told(*one) for one in waiting.values_list("parent_id", "wants", "parent__state")[:_SHOWN]]
    more = job.unmet - len(first)
    others = [f"{more:,} other {'job' if more == 1 else 'jobs'}"] if more > 0 else []
    *most, last = [*first, *others] or ["other jobs"]
    return f"{', '.join(most)} and {last}" if most else last


def _told(parent_id: int, wants: str, state: str) -> str:
    how = "to end" if wants == Wants.ANY else "to fail" if wants == Wants.FAILED else "to complete"
    return f"job {parent_id} {how} ({JobState(state).label})"
