"""What was submitted with a credential. Each query reads the index job_by_credential."""

from heapq import nlargest
from typing import NamedTuple

from jobs.models import Job
from jobs.states import JobState

MOST_COUNTED = 100_000
NEWEST = 20


class SubmittedJob(NamedTuple):
    id: int
    state: JobState


def count_submitted_with(credential_id: int) -> int:
    """Up to MOST_COUNTED."""
    return Job.objects.filter(submitted_by_id=credential_id).order_by()[:MOST_COUNTED].count()


def newest_submitted_with(credential_id: int) -> list[SubmittedJob]:
    """Up to NEWEST, the newest first."""
    # The index has them by state: the newest of all are among the newest of each.
    own = Job.objects.filter(submitted_by_id=credential_id)
    ids = {state: own.filter(state=state).order_by("-id").values_list("id", flat=True)[:NEWEST] for state in JobState}
    return nlargest(NEWEST, (SubmittedJob(job_id, state) for state, found in ids.items() for job_id in found))
