"""Jobs that are read by statements of ours are those that Django reads."""

from datetime import datetime
from typing import Any

from jobs.models import Job
from jobs.services.accept import accept_jobs
from jobs.sql.instances import instances
from jobs.sql.statements import fetch, quoted
from tests.support.lives import AGENT
from tests.support.queue import submitted

# What each database keeps in a way of its own, in another order than the model's.
COLUMNS = ("given_back", "lease_expires_at", "cluster_id", "accepted_at", "state", "labels", "id", "priority")


def test_values_are_those_of_the_model(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)
    Job.objects.filter(id=job_id).update(given_back={"1": "full"}, labels={"of": "é"})

    (job,) = instances(Job, COLUMNS, _rows(job_id))

    kept = Job.objects.get(id=job_id)
    assert {name: getattr(job, name) for name in COLUMNS} == {name: getattr(kept, name) for name in COLUMNS}
    assert (job.accepted_at, job.given_back, job.labels) == (now, {"1": "full"}, {"of": "é"})


def test_what_was_not_read_is_read_when_it_is_asked_for(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)

    (job,) = instances(Job, COLUMNS, _rows(job_id))

    assert "agent" in job.get_deferred_fields()
    Job.objects.filter(id=job_id).update(agent=AGENT)
    assert job.agent == AGENT


def _rows(job_id: int) -> Any:
    return fetch(f"SELECT {quoted(COLUMNS)} FROM {Job._meta.db_table} WHERE id = %s", [job_id])
