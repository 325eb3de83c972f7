"""What operators do to a signed job leaves what was signed as it was; for another cluster, the signature is none."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clusters.callers import Operator
from grpc_api.rpcs.messages import job_to_message
from jobs.queries.lookup import get_jobs
from jobs.services.accept import accept_jobs
from jobs.services.move import move_jobs
from jobs.services.priority import change_priority
from jobs.services.requeue import requeue_jobs
from rainbow import translation
from rainbow.agent.journal_entries import recovered_entry
from rainbow.signatures import SignatureRefused, public_text, verify
from rainbow.signer import Signer
from rainbow.specs import JobSpec
from tests.support.members import project_of, submitted_by
from tests.support.queue import operator_named

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def job_id(alpha: Any, beta: Any, alice: Operator, now: datetime) -> int:
    project_of(alice, at=("alpha", "beta"), now=now)
    spec = Signer(key=KEY, person="alice").signed(JobSpec(command="hostname", nodes=2), target="alpha")
    return submitted_by(alice, nodes=2, signature=spec.signature, now=now)[0]


def check_at(cluster: str, job_id: int, olga: Operator, now: datetime) -> None:
    """As an agent of the cluster does with what the server tells it. Raises SignatureRefused."""
    found = get_jobs(by=olga, job_ids=[job_id])[job_id]
    work = recovered_entry(translation.job(job_to_message(found, brief=False))).work
    verify(work.signature, work, owner=work.owner, targets={cluster}, keys=[public_text(KEY)], now=now)


def test_another_priority_and_another_attempt_keep_the_signature(
    alpha: Any, job_id: int, olga: Operator, now: datetime
) -> None:
    change_priority(by=olga, job_ids=[job_id], priority=9, reason="urgent", now=now)
    check_at("alpha", job_id, olga, now)

    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="a", now=now)
    requeue_jobs(by=olga, job_ids=[job_id], reason="again", now=now)
    check_at("alpha", job_id, olga, now)


def test_a_job_that_was_moved_is_refused_with_that_reason(
    beta: Any, job_id: int, olga: Operator, now: datetime
) -> None:
    move_jobs(by=olga, job_ids=[job_id], cluster_id=beta.cluster.id, reason="free", now=now)

    with pytest.raises(SignatureRefused, match="it is signed for alpha, not for beta"):
        check_at("beta", job_id, olga, now)
