"""What a blocked job waits for."""

from collections.abc import Iterator, Mapping

from clusters.callers import Caller, Operator
from jobs.after import Wants
from jobs.models import GroupDependency, Job, JobDependency, JobGroup
from jobs.queries.groups import counts_of, visible_groups
from jobs.queries.lookup import within_reach
from jobs.states import FINAL, JobState

_SHOWN = 3
_NOT_SEEN = "not yours to see"
_HOW = {Wants.OK: "to complete", Wants.ANY: "to end", Wants.FAILED: "to fail"}


def waited_for(by: Caller | Operator | None, job: Job) -> str:
    """The first few, and the number of the others; with the states of those that `by` may see."""
    first = [*_jobs(by, job), *_groups(by, job)][:_SHOWN]
    more = job.unmet - len(first)
    others = [f"{more:,} more"] if more > 0 else []
    *most, last = [*first, *others]
    return f"{', '.join(most)} and {last}" if most else last


def _jobs(by: Caller | Operator | None, job: Job) -> Iterator[str]:
    waiting = JobDependency.objects.filter(job_id=job.id).order_by("parent_id", "wants")
    found = list(waiting.values_list("parent_id", "wants")[:_SHOWN])
    seen = within_reach(by).filter(id__in=[parent_id for parent_id, _ in found]) if by else Job.objects.none()
    states = dict(seen.values_list("id", "state"))
    for parent_id, wants in found:
        state = JobState(states[parent_id]).label if parent_id in states else _NOT_SEEN
        yield f"job {parent_id} {_HOW[Wants(wants)]} ({state})"


def _groups(by: Caller | Operator | None, job: Job) -> Iterator[str]:
    waiting = GroupDependency.objects.filter(job_id=job.id).order_by("group_id", "wants")
    found = list(waiting.values_list("group_id", "wants")[:_SHOWN])
    seen = visible_groups(by).filter(id__in=[group_id for group_id, _ in found]) if by else JobGroup.objects.none()
    counts = counts_of(set(seen.values_list("id", flat=True)))
    for group_id, wants in found:
        yield f"group {group_id} {_HOW[Wants(wants)]} ({_over(counts[group_id]) if group_id in counts else _NOT_SEEN})"


def _over(counts: Mapping[JobState, int]) -> str:
    over = sum(jobs for state, jobs in counts.items() if state in FINAL)
    return f"{over:,} of {sum(counts.values()):,} over"
