"""The result of a verb on many jobs, for each of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from rainbow.errors import NO_SUCH_JOB


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResult:
    """`refusal` says why the job did not change; empty when it did."""

    job_id: int
    refusal: str


def change_results(job_ids: Iterable[int], refusals: dict[int, str]) -> list[ChangeResult]:
    """One for each id; `refusals` has an entry, perhaps an empty one, for each job that was found."""
    return [ChangeResult(job_id=id, refusal=refusals.get(id, NO_SUCH_JOB)) for id in job_ids]
