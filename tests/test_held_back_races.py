"""What else goes on in a cluster while rows of failures are counted there."""

from datetime import datetime
from typing import Any

import pytest

from clusters.models import CredentialKind
from clusters.services.credentials import rotate_credential
from jobs.reports import Report, Reported
from jobs.services.report import report_jobs
from jobs.states import JobState
from tests.support.lives import AGENT, job_in
from tests.support.queue import submitted
from tests.support.turns import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("postgresql_only")]


def failing(member: Any, job_id: int, now: datetime) -> list[Reported]:
    report = Report(job_id=job_id, attempt=1, state=JobState.FAILED, native_id="7", started_at=now, finished_at=now)
    return report_jobs(caller=member.puller, agent=AGENT, reports=[report], hold_after=1, now=now)


def test_submissions_do_not_wait_for_it(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    met = race(lambda: failing(alpha, job_id, now), lambda: submitted(alpha, now=now), waits=False)

    assert not met.waited


def test_a_token_is_rotated_meanwhile(alpha: Any, now: datetime) -> None:
    """Each then names, in an event, what the other has locked."""
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    met = race(
        lambda: rotate_credential(cluster_id=alpha.cluster.id, kind=CredentialKind.TOKEN, by=alpha.puller, now=now),
        lambda: failing(alpha, job_id, now),
    )

    assert (met.first.credential.label, len(met.second)) == ("default", 1)
