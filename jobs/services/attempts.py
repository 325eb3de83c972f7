"""The record of attempts at jobs that are put back."""

from collections.abc import Sequence

from jobs.models import JobAttempt
from jobs.retries import AttemptEnd

LONGEST_REASON = 1_000


def note_attempts(ends: Sequence[AttemptEnd]) -> None:
    """Call it before the jobs are changed, which the caller has locked."""
    JobAttempt.objects.bulk_create(
        [
            JobAttempt(
                job_id=end.job.id,
                attempt=end.job.attempt,
                cluster_id=end.job.cluster_id,
                native_id=end.native_id or end.job.native_id,
                accepted_at=end.job.accepted_at,
                started_at=end.started_at or end.job.started_at,
                ended_at=end.ended_at,
                end_cause=end.end_cause,
                exit_code=end.exit_code,
                reason=end.reason[:LONGEST_REASON],
            )
            for end in ends
        ]
    )
