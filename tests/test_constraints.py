"""What must never be false: the database itself refuses such rows, whoever writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError, IntegrityError, transaction

from clusters.models import Cluster, Credential
from jobs.models import MAX_ID, Job, JobCount, JobEvent, JobLabel
from jobs.states import JobState
from tests.support.lives import job_in, row
from tests.support.queue import operator_named, submitted

pytestmark = pytest.mark.django_db

THEN = datetime(2026, 11, 1, 13, 0, tzinfo=UTC)
B, Q, A, R, C, F, X, L = JobState

IMPOSSIBLE_JOBS: list[tuple[JobState, dict[str, Any]]] = [
    (Q, {"state": "odd"}),
    (Q, {"command": ""}),
    (Q, {"nodes": 0}),
    (Q, {"tasks": -1}),
    (Q, {"time_limit_seconds": -1}),
    (Q, {"attempt": 0}),
    (Q, {"idempotency_key": "key"}),
    (Q, {"state": C}),
    (Q, {"state": F}),
    (Q, {"state": X}),
    (Q, {"finished_at": THEN}),
    (Q, {"state": A}),
    (Q, {"state": R}),
    (Q, {"state": L}),
    (Q, {"state": B}),
    (Q, {"lease_expires_at": THEN}),
    (A, {"agent": ""}),
    (A, {"finished_at": THEN}),
    (A, {"accepted_at": None}),
    (R, {"accepted_at": None}),
    (L, {"lease_expires_at": THEN}),
    (C, {"finished_at": None}),
    (X, {"state": Q}),
    (C, {"lease_expires_at": THEN}),
]


@pytest.mark.parametrize(
    ("state", "columns"),
    [pytest.param(*case, id=f"{case[0]}-{'-'.join(case[1])}-{number}") for number, case in enumerate(IMPOSSIBLE_JOBS)],
)
def test_an_impossible_job_is_refused(alpha: Any, now: datetime, state: JobState, columns: dict[str, Any]) -> None:
    job_id = job_in(state, alpha, now=now)
    before = row(job_id)

    with pytest.raises(IntegrityError, match="constraint"), transaction.atomic():
        Job.objects.filter(id=job_id).update(**columns)

    assert row(job_id) == before


@pytest.mark.parametrize("number", [0, -1, MAX_ID + 1])
def test_an_id_that_does_not_fit_the_wire_is_refused(alpha: Any, now: datetime, number: int) -> None:
    (job_id,) = submitted(alpha, now=now)
    copy = Job.objects.get(id=job_id)
    copy.id = number

    with pytest.raises((IntegrityError, DataError)), transaction.atomic():
        copy.save(force_insert=True)

    assert Job.objects.count() == 1


def test_two_jobs_under_one_key_are_refused(alpha: Any, beta: Any, now: datetime) -> None:
    submitted(alpha, now=now, idempotency_key="key")
    submitted(beta, now=now, idempotency_key="key")
    (other,) = submitted(alpha, now=now, idempotency_key="other")

    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(id=other).update(idempotency_key="key")


def test_two_values_of_one_label_are_refused(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, labels={"a": "1"})

    with pytest.raises(IntegrityError), transaction.atomic():
        JobLabel.objects.create(job_id=job_id, key="a", value="2")


@pytest.mark.parametrize("columns", [{"state": "odd"}, {"credential": True, "operator": True}])
def test_an_impossible_event_is_refused(alpha: Any, now: datetime, columns: dict[str, Any]) -> None:
    (job_id,) = submitted(alpha, now=now)
    if "operator" in columns:
        columns = {
            "credential_id": alpha.submitter.credential_id,
            "operator_id": operator_named("olga").user_id,
        }

    with pytest.raises(IntegrityError, match="constraint"), transaction.atomic():
        JobEvent.objects.filter(job_id=job_id).update(**columns)


def test_two_counts_of_the_same_are_refused(alpha: Any, now: datetime) -> None:
    submitted(alpha, now=now)
    count = JobCount.objects.get()
    count.id = None

    with pytest.raises(IntegrityError), transaction.atomic():
        count.save(force_insert=True)


@pytest.mark.parametrize("columns", [{"name": ""}, {"name": "beta"}, {"paused_at": THEN}])
def test_an_impossible_cluster_is_refused(alpha: Any, beta: Any, columns: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Cluster.objects.filter(name="alpha").update(**columns)


def test_a_cluster_with_jobs_cannot_be_deleted(alpha: Any, now: datetime) -> None:
    submitted(alpha, now=now)

    with pytest.raises(IntegrityError), transaction.atomic():
        alpha.cluster.delete()

    assert Job.objects.count() == 1


def impossible_credentials(alpha: Any, beta: Any) -> list[dict[str, Any]]:
    theirs = Credential.objects.get(id=beta.submitter.credential_id)
    return [
        {"kind": "odd"},
        {"kind": "secret"},
        {"digest": theirs.digest},
    ]


@pytest.mark.parametrize("number", range(3))
def test_an_impossible_credential_is_refused(alpha: Any, beta: Any, number: int) -> None:
    columns = impossible_credentials(alpha, beta)[number]
    token = Credential.objects.filter(id=alpha.submitter.credential_id)

    with pytest.raises(IntegrityError), transaction.atomic():
        token.update(**columns)

    assert token.get().kind == "token"


def test_the_label_of_a_revoked_credential_may_be_used_again(alpha: Any, now: datetime) -> None:
    token = Credential.objects.get(id=alpha.submitter.credential_id)
    Credential.objects.filter(id=token.id).update(revoked_at=now)
    token.id, token.digest, token.created_at = None, "d" * 64, now + timedelta(minutes=1)

    token.save(force_insert=True)

    assert Credential.objects.filter(cluster=alpha.cluster, kind="token", label="default").count() == 2
