"""Every verb on a job at every point of its life: it moves where it may, or nothing changes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from clusters.callers import Operator
from jobs.events import record
from jobs.models import Job, JobEvent, JobLabel
from jobs.outcomes import CancelOutcome
from jobs.queries.queue import request_jobs
from jobs.services.accept import RefusalReason, accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.prune import prune_jobs
from jobs.services.release import release
from jobs.services.requeue import requeue_jobs
from jobs.states import FINAL, MOVES, JobState
from rainbow.errors import InvalidArgument
from tests.support.lives import AGENT, handed_over, job_in, replay, row
from tests.support.queue import counted, operator_named, recounted, submitted

pytestmark = pytest.mark.django_db

HANDED_OVER, GONE = "handed over", "gone"
B, Q, A, R, C, F, X, L = JobState
LIVES = [B, Q, A, HANDED_OVER, R, C, F, X, L]


@pytest.fixture
def olga(db: None) -> Operator:
    return operator_named("olga")


def lead(life: str, member: Any, now: datetime) -> int:
    return handed_over(member, now=now) if life == HANDED_OVER else job_in(JobState(life), member, now=now)


def accept(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    accept_jobs(caller=member.puller, job_ids=[job_id], agent="agent-2", now=now)


def accept_plainly(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    accept_jobs(caller=member.puller, job_ids=[job_id], now=now)


def cancel_by_token(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    cancel_jobs(by=member.submitter, job_ids=[job_id], reason="enough", now=now)


def cancel_by_secret(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    cancel_jobs(by=member.puller, job_ids=[job_id], reason="enough", now=now)


def cancel_by_operator(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    cancel_jobs(by=olga, job_ids=[job_id], reason="enough", now=now)


def requeue(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    requeue_jobs(by=olga, job_ids=[job_id], reason="again", now=now)


def let_go(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    jobs = Job.objects.filter(id=job_id, state=B)
    with transaction.atomic():
        record([(step, None) for step in release(list(jobs.select_for_update()), now=now)], now=now)


def request(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    list(request_jobs(caller=member.puller, now=now))


def prune(member: Any, job_id: int, olga: Operator, now: datetime) -> None:
    prune_jobs(before=now + timedelta(days=1))


Verb = Callable[[Any, int, Operator, datetime], None]
CANCELS = {B: X, Q: X, L: X}
# Where each verb leads from where; from everywhere else nothing moves.
LEADS: dict[Verb, dict[str, str]] = {
    accept: {Q: A},
    accept_plainly: {Q: A},
    cancel_by_token: CANCELS,
    cancel_by_secret: CANCELS,
    cancel_by_operator: CANCELS,
    requeue: {A: Q, HANDED_OVER: Q, L: Q},
    let_go: {B: Q},
    request: {},
    prune: {C: GONE, F: GONE, X: GONE, HANDED_OVER: GONE},
}
# Word to the agent that it shall stop a job is no move, and no refusal.
ASKS = {(cancel, life) for cancel in (cancel_by_token, cancel_by_secret, cancel_by_operator) for life in (A, R)}


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("verb", LEADS)
def test_a_verb_moves_a_job_where_it_may_or_changes_nothing(
    alpha: Any, olga: Operator, now: datetime, verb: Verb, life: str
) -> None:
    job_id = lead(life, alpha, now)
    before, events = row(job_id), JobEvent.objects.count()

    verb(alpha, job_id, olga, now + timedelta(minutes=1))

    after = row(job_id)
    if (verb, life) in ASKS:
        assert after == {**before, "cancel_requested_at": now + timedelta(minutes=1), "reason": "enough"}
        assert JobEvent.objects.count() == events + 1
    elif life not in LEADS[verb]:
        assert after == before
        assert JobEvent.objects.count() == events
    elif LEADS[verb][life] == GONE:
        assert after == {}
        assert not JobEvent.objects.exists()
    else:
        assert after["state"] == LEADS[verb][life]
        assert JobEvent.objects.count() == events + 1
        assert replay(job_id) == (after["state"], after["attempt"])
    assert counted() == recounted()


def test_the_verbs_move_jobs_only_along_the_moves() -> None:
    for leads in LEADS.values():
        for before, after in leads.items():
            assert after == GONE or after in MOVES[A if before == HANDED_OVER else JobState(before)]


def test_every_state_has_its_moves_and_the_final_ones_have_none() -> None:
    assert set(MOVES) == set(JobState)
    assert {state for state, moves in MOVES.items() if not moves} == FINAL
    assert all(state not in moves for state, moves in MOVES.items())


def test_a_requeued_job_starts_over_as_its_next_attempt(alpha: Any, olga: Operator, now: datetime) -> None:
    job_id = job_in(L, alpha, now=now, priority=5)

    requeue(alpha, job_id, olga, now)
    (offered,) = request_jobs(caller=alpha.puller, now=now)

    job = Job.objects.get(id=job_id)
    assert (job.attempt, job.agent, job.native_id, job.reason) == (2, "", "", "again")
    times = (job.accepted_at, job.started_at, job.lost_at, job.lease_expires_at, job.finished_at)
    assert times == (None,) * 5
    assert (offered.id, offered.attempt, offered.priority) == (job_id, 2, 5)


def test_the_agent_of_an_older_attempt_does_not_find_its_job_accepted(
    alpha: Any, olga: Operator, now: datetime
) -> None:
    job_id = job_in(A, alpha, now=now)
    requeue(alpha, job_id, olga, now)

    accepted = accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now).accepted

    assert [(job.job_id, job.attempt) for job in accepted] == [(job_id, 2)]


def test_a_job_that_shall_stop_is_not_requeued(alpha: Any, olga: Operator, now: datetime) -> None:
    job_id = job_in(A, alpha, now=now)
    cancel_by_token(alpha, job_id, olga, now)

    (result,) = requeue_jobs(by=olga, job_ids=[job_id], reason="again", now=now)

    assert "cancel" in result.refusal
    assert row(job_id)["state"] == A


@pytest.mark.parametrize("reason", ["", "r" * 1_001, "a\0b"])
def test_a_requeue_needs_a_reason_that_can_be_shown(alpha: Any, olga: Operator, now: datetime, reason: str) -> None:
    job_id = job_in(L, alpha, now=now)

    with pytest.raises(InvalidArgument) as refused:
        requeue_jobs(by=olga, job_ids=[job_id], reason=reason, now=now)

    assert refused.value.field == "reason"
    assert row(job_id)["state"] == L


def test_a_stranger_can_do_nothing_to_a_job(alpha: Any, mallory: Any, now: datetime) -> None:
    job_id = job_in(Q, alpha, now=now)
    before = row(job_id)

    accepted = accept_jobs(caller=mallory.puller, job_ids=[job_id], now=now)
    cancelled = [cancel_jobs(by=by, job_ids=[job_id], now=now)[0] for by in (mallory.submitter, mallory.puller)]
    requeued = [requeue_jobs(by=by, job_ids=[job_id], reason="x", now=now)[0] for by in (mallory.puller,)]

    assert [refused.reason for refused in accepted.refused] == [RefusalReason.NOT_FOUND]
    assert [item.outcome for item in cancelled] == [CancelOutcome.NOT_FOUND] * 2
    assert all(item.refusal for item in requeued)
    assert row(job_id) == before


def test_pruning_spares_what_ended_later_and_what_goes_on(alpha: Any, now: datetime) -> None:
    kept = [job_in(state, alpha, now=now) for state in (B, Q, A, R, L)]
    later = job_in(X, alpha, now=now + timedelta(days=2))
    gone = [job_in(state, alpha, now=now, labels={"a": "b"}) for state in (C, F, X)] + [handed_over(alpha, now=now)]

    deleted = prune_jobs(before=now + timedelta(days=1))

    assert deleted == len(gone)
    assert list(Job.objects.order_by("id").values_list("id", flat=True)) == [*kept, later]
    assert not JobLabel.objects.exists()
    assert set(JobEvent.objects.values_list("job_id", flat=True)) == {*kept, later}
    assert counted() == recounted()


def test_pruning_goes_on_past_one_batch(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 1_500, now=now)
    cancel_jobs(by=alpha.submitter, job_ids=ids, now=now)

    assert prune_jobs(before=now + timedelta(days=1)) == 1_500
    assert not Job.objects.exists()
    assert counted() == {}
