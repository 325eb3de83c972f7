"""What a blocked job waits for."""

from collections.abc import Iterator

from jobs.after import Wants
from jobs.models import GroupDependency, Job, JobDependency
from jobs.queries.groups import counts_of
from jobs.states import FINAL, JobState

_SHOWN = 3
_HOW = {Wants.OK: "to complete", Wants.ANY: "to end", Wants.FAILED: "to fail"}


def waited_for(job: Job) -> str:
    """The first few with their states, and the number of the others."""
    first = [*_jobs(job), *_groups(job)][:_SHOWN]
    more = job.unmet - len(first)
    others = [f"{more:,} more"] if more > 0 else []
    *most, last = [*first, *others]
    return f"{', '.join(most)} and {last}" if most else last


def _jobs(job: Job) -> Iterator[str]:
    waiting = JobDependency.objects.filter(job_id=job.id).order_by("parent_id", "wants")
    for parent_id, wants, state in waiting.values_list("parent_id", "wants", "parent__state")[:_SHOWN]:
        yield f"job {parent_id} {_HOW[Wants(wants)]} ({JobState(state).label})"


def _groups(job: Job) -> Iterator[str]:
    waiting = GroupDependency.objects.filter(job_id=job.id).order_by("group_id", "wants")
    found = list(waiting.values_list("group_id", "wants")[:_SHOWN])
    counts = counts_of({group_id for group_id, _ in found})
    for group_id, wants in found:
        over = sum(jobs for state, jobs in counts[group_id].items() if state in FINAL)
        yield f"group {group_id} {_HOW[Wants(wants)]} ({over:,} of {sum(counts[group_id].values()):,} over)"
