"""Jobs that wait for others: what the end of one does to those that wait for it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.models import EndedParent, Job, JobDependency, JobEvent
from jobs.queries.explain import explain_wait
from jobs.queries.lookup import get_jobs
from jobs.queries.queue import request_jobs
from jobs.reports import Report
from jobs.services import dependents, parents
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.dependents import look_for_missed_ends, settle_ended_parents
from jobs.services.expire import EVERY
from jobs.services.orders import Order, Receipt
from jobs.services.prune import prune_ended, prune_handed_over
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState, What
from rainbow.errors import AlreadyExists, InvalidArgument, RainbowError
from tests.support.leases import LEASE, held, watching
from tests.support.lives import handed_over, job_in, replay
from tests.support.queue import counted, operator_named, recounted, submitted
from tests.test_groups import new_group

pytestmark = pytest.mark.django_db

OK, FAILED, CANCELLED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED
DAY = timedelta(days=1)


def outcome(member: Any, now: datetime, **said: Any) -> Receipt | RainbowError:
    spec = JobSpec(**{"command": "true", **said})
    (result,) = submit_jobs(orders=[Order(by=member.submitter, cluster_id=member.cluster.id, spec=spec)], now=now)
    return result


def waiting_for(member: Any, *terms: object, now: datetime, **said: Any) -> int:
    (job_id,) = submitted(member, now=now, after=tuple(map(str, terms)), **said)
    return job_id


def end(member: Any, job_id: int, state: JobState, now: datetime) -> None:
    """Ends a job as its agent or its submitter does."""
    if state == CANCELLED:
        cancel_jobs(by=member.submitter, job_ids=[job_id], now=now)
        return
    accept_jobs(caller=member.puller, job_ids=[job_id], agent="agent-1", now=now)
    report_jobs(caller=member.puller, agent="agent-1", reports=[Report(job_id=job_id, attempt=1, state=state)], now=now)


def state_of(job_id: int) -> str:
    """On which the records agree."""
    state = Job.objects.get(id=job_id).state
    assert replay(job_id)[0] == state
    return state


def settle_all(now: datetime) -> list[int]:
    """How many each transaction settled."""
    numbers = []
    while number := settle_ended_parents(now=now):
        numbers.append(number)
    return numbers


def test_a_job_that_waits_for_another_is_in_no_queue(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)

    result = outcome(alpha, now, after=(str(parent),))

    assert isinstance(result, Receipt)
    assert result.position == 0
    job = Job.objects.get(id=result.job_id)
    assert (job.state, job.queue_id, job.unmet) == ("blocked", None, 1)
    assert [one.id for one in request_jobs(caller=alpha.puller, now=now)] == [parent]
    assert accept_jobs(caller=alpha.puller, job_ids=[job.id], agent="agent-1", now=now).accepted == []
    assert counted() == recounted()


@pytest.mark.parametrize(
    ("wants", "state", "then"),
    [
        ("", OK, "queued"),
        ("ok:", OK, "queued"),
        ("ok:", FAILED, "cancelled"),
        ("ok:", CANCELLED, "cancelled"),
        ("failed:", OK, "cancelled"),
        ("failed:", FAILED, "queued"),
        ("failed:", CANCELLED, "cancelled"),
        ("any:", OK, "queued"),
        ("any:", FAILED, "queued"),
        ("any:", CANCELLED, "queued"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_of_a_job_releases_or_cancels_what_waits_for_it(
    alpha: Any, now: datetime, wants: str, state: JobState, then: str, when: str
) -> None:
    (parent,) = submitted(alpha, now=now)
    if when == "before":
        end(alpha, parent, state, now)

    child = waiting_for(alpha, f"{wants}{parent}", now=now)

    if when == "after":
        assert state_of(child) == "blocked"
        end(alpha, parent, state, now)
    assert state_of(child) == then
    offered = [one.id for one in request_jobs(caller=alpha.puller, now=now)]
    assert offered == ([child] if then == "queued" else [])
    assert not JobDependency.objects.exists()
    assert not EndedParent.objects.exists()
    assert counted() == recounted()


def test_a_cancelled_job_names_the_one_that_ended_otherwise(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, parent, now=now)

    end(alpha, parent, FAILED, now)
    late = waiting_for(alpha, parent, now=now)

    for job_id in (child, late):
        reason = f"job {parent} ended without completing; this job was to run once that had completed"
        job = Job.objects.get(id=job_id)
        assert (job.state, job.reason, job.finished_at) == ("cancelled", reason, now)
        steps = [(event.what, event.state, event.who) for event in JobEvent.objects.filter(job=job).order_by("id")]
        submission = (What.SUBMITTED, "blocked", str(job.submitted_by))
        assert steps == [submission, (What.CANCELLED, "cancelled", "the server")]
    assert counted() == recounted()


def test_a_job_runs_once_all_that_it_waits_for_have_ended(alpha: Any, beta: Any, now: datetime) -> None:
    first, second, third = submitted(alpha, 3, now=now)
    end(alpha, first, OK, now)
    child = waiting_for(alpha, first, f"any:{second}", f"failed:{third}", now=now)

    end(alpha, second, CANCELLED, now)
    between = state_of(child), Job.objects.get(id=child).unmet
    end(alpha, third, FAILED, now)

    assert between == ("blocked", 1)
    assert state_of(child) == "queued"


def test_what_ends_together_counts_together(alpha: Any, now: datetime) -> None:
    parents = submitted(alpha, 3, now=now)
    child = waiting_for(alpha, *parents, now=now)
    accept_jobs(caller=alpha.puller, job_ids=parents, agent="agent-1", now=now)

    reports = [Report(job_id=job_id, attempt=1, state=OK) for job_id in parents]
    report_jobs(caller=alpha.puller, agent="agent-1", reports=reports, now=now)

    assert state_of(child) == "queued"


def test_the_same_job_named_twice_is_one_dependency(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)

    child = waiting_for(alpha, parent, f"ok:{parent}", parent, now=now)

    assert Job.objects.get(id=child).unmet == 1
    assert Job.objects.get(id=child).after == [str(parent), f"ok:{parent}"]


def test_a_job_that_can_never_run_is_cancelled_once_that_is_known(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, parent, f"failed:{parent}", now=now)

    end(alpha, parent, OK, now)

    assert state_of(child) == "cancelled"


def test_jobs_wait_for_jobs_of_other_clusters_that_their_submitter_sees(
    alpha: Any, beta: Any, now: datetime, alice: Any
) -> None:
    (parent,) = submitted(alpha, now=now)
    order = Order(by=alice, cluster_id=beta.cluster.id, spec=JobSpec(command="true", after=(str(parent),)))
    (receipt,) = submit_jobs(orders=[order], now=now)
    assert isinstance(receipt, Receipt)

    end(alpha, parent, OK, now)

    assert [one.id for one in request_jobs(caller=beta.puller, now=now)] == [receipt.job_id]


# Refusals


def test_unknown_and_foreign_jobs_are_refused_alike(alpha: Any, mallory: Any, now: datetime) -> None:
    (foreign,) = submitted(alpha, now=now)
    (own,) = submitted(mallory, now=now)

    answers = [outcome(mallory, now, after=(str(own), f"any:{id}")) for id in (foreign, 2_000_000_000)]

    for answer, id in zip(answers, (foreign, 2_000_000_000), strict=True):
        assert isinstance(answer, InvalidArgument)
        assert (answer.field, str(answer).endswith(f"no such job: {id}")) == ("after", True)
    assert not JobDependency.objects.exists()


@pytest.mark.parametrize(
    "term",
    [
        "",
        "x",
        "0",
        "-1",
        "01",
        "ok",
        "ok:",
        "ok:x",
        "OK:1",
        "any: 1",
        "1 ",
        "1\n",
        "fail:1",
        "2147483648",
        "group:0",
        "group:",
        "group:ok:1",
        "ok:group:x",
        "jobs:1",
    ],
)
def test_what_is_no_term_is_refused(alpha: Any, now: datetime, term: str) -> None:
    answer = outcome(alpha, now, after=(term,))

    assert isinstance(answer, InvalidArgument)
    assert answer.field == "after"


def test_a_job_waits_for_a_hundred_at_most(alpha: Any, now: datetime) -> None:
    parents = tuple(map(str, submitted(alpha, 101, now=now)))

    most, more = outcome(alpha, now, after=parents[:100]), outcome(alpha, now, after=parents)

    assert isinstance(most, Receipt)
    assert isinstance(more, InvalidArgument)


def test_others_of_the_same_batch_are_not_refused_with_it(alpha: Any, now: datetime) -> None:
    specs = [JobSpec(command="true", after=("2000000000",)), JobSpec(command="true")]

    bad, good = submit_jobs(
        orders=[Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=spec) for spec in specs], now=now
    )

    assert isinstance(bad, InvalidArgument)
    assert isinstance(good, Receipt)


# Repeated submissions


def test_a_repeated_submission_makes_no_second_job_nor_dependency(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    said = {"after": (str(parent),), "idempotency_key": "k"}
    first = outcome(alpha, now, **said)

    again = outcome(alpha, now, **said)
    end(alpha, parent, OK, now)
    late = outcome(alpha, now, **said)
    Job.objects.filter(id=parent).update(finished_at=now - DAY)
    prune_ended(before=now, limit=10)
    later = outcome(alpha, now, **said)
    other = outcome(alpha, now, **{**said, "after": (f"any:{parent}",)})

    assert isinstance(first, Receipt)
    for answer in (again, late, later):
        assert isinstance(answer, Receipt)
        assert (answer.job_id, answer.duplicate) == (first.job_id, True)
    assert isinstance(other, AlreadyExists)
    assert Job.objects.get(id=first.job_id).unmet == 0
    assert state_of(first.job_id) == "queued"


# Ends of all kinds, and what is none


def test_a_requeued_or_lost_job_has_not_ended(alpha: Any, now: datetime) -> None:
    parent = held(alpha, now=now)
    child = waiting_for(alpha, f"any:{parent}", now=now)

    requeue_jobs(by=alpha.puller, job_ids=[parent], reason="gone", now=now)
    requeued = state_of(child)
    lost = job_in(JobState.LOST, alpha, now=now)
    other = waiting_for(alpha, f"any:{lost}", now=now)

    assert (requeued, state_of(other)) == ("blocked", "blocked")


def test_a_lease_that_ends_a_job_ends_it_for_those_that_wait(alpha: Any, now: datetime) -> None:
    watch = watching(now)
    parent = held(alpha, now=now)
    child = waiting_for(alpha, f"any:{parent}", now=now)
    cancel_jobs(by=alpha.submitter, job_ids=[parent], now=now)

    watch.until(now + LEASE + EVERY)

    assert state_of(parent) == "cancelled"
    assert state_of(child) == "queued"


def test_a_cancelled_job_stays_so_when_what_it_waited_for_ends(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, parent, now=now)

    end(alpha, child, CANCELLED, now)
    end(alpha, parent, OK, now)

    assert state_of(child) == "cancelled"
    assert not JobDependency.objects.exists()


def test_what_is_cancelled_cancels_on_down_a_chain(alpha: Any, now: datetime) -> None:
    chain = submitted(alpha, now=now)
    for _ in range(300):
        chain.append(waiting_for(alpha, chain[-1], now=now))

    end(alpha, chain[0], FAILED, now)
    at_once = Job.objects.filter(state=CANCELLED).count()
    rest = settle_all(now)

    assert at_once == dependents.AT_ONCE
    assert rest == [200]
    assert not Job.objects.filter(id__in=chain[1:]).exclude(state=CANCELLED).exists()
    assert Job.objects.get(id=chain[-1]).reason.startswith(f"job {chain[-2]} ended without completing")
    assert not EndedParent.objects.exists()
    assert counted() == recounted()


def test_a_chain_runs_one_after_the_other(alpha: Any, now: datetime) -> None:
    chain = submitted(alpha, now=now)
    for _ in range(20):
        chain.append(waiting_for(alpha, chain[-1], now=now))

    for place, job_id in enumerate(chain):
        assert [one.id for one in request_jobs(caller=alpha.puller, now=now)] == [chain[place]]
        end(alpha, job_id, OK, now)

    assert counted() == recounted()


def test_a_diamond_is_released_once_and_cancelled_once(alpha: Any, now: datetime) -> None:
    for state, then in ((OK, "queued"), (FAILED, "cancelled")):
        (top,) = submitted(alpha, now=now)
        left, right = (waiting_for(alpha, top, now=now) for _ in range(2))
        bottom = waiting_for(alpha, left, right, now=now)

        end(alpha, top, state, now)
        if state == OK:
            end(alpha, left, OK, now)
            assert state_of(bottom) == "blocked"
            end(alpha, right, OK, now)

        assert state_of(bottom) == then
        last = JobEvent.objects.filter(job_id=bottom).latest("id")
        assert JobEvent.objects.filter(job_id=bottom, what=last.what).count() == 1
    assert counted() == recounted()


# In parts


def test_many_are_released_in_batches_and_none_twice(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependents, "AT_ONCE", 10)
    monkeypatch.setattr(dependents, "BATCH", 50)
    (parent,) = submitted(alpha, now=now)
    children = submitted(alpha, 175, now=now, after=(str(parent),))

    end(alpha, parent, OK, now)
    at_once = Job.objects.filter(id__in=children, state="queued").count()
    batches = settle_all(now)

    assert (at_once, batches) == (10, [50, 50, 50, 15])
    assert [one.id for one in request_jobs(caller=alpha.puller, now=now)] == children
    assert JobEvent.objects.filter(job_id__in=children, what=What.RELEASED).count() == 175
    assert not EndedParent.objects.exists()
    assert counted() == recounted()


def test_what_an_earlier_release_ended_is_found(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, parent, now=now)
    Job.objects.filter(id=parent).update(state=OK, finished_at=now)

    assert look_for_missed_ends() == 1
    assert look_for_missed_ends() == 0
    settle_all(now)

    assert state_of(child) == "queued"


# Pruning


def test_a_job_is_kept_until_those_that_wait_for_it_know(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependents, "AT_ONCE", 0)
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, parent, now=now)
    end(alpha, parent, OK, now)

    early = prune_ended(before=now + DAY, limit=10)
    settle_all(now)
    late = prune_ended(before=now + DAY, limit=10)

    assert (early, late, state_of(child)) == (0, 1, "queued")


def test_a_child_is_pruned_while_what_it_waited_for_runs(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, parent, now=now)
    end(alpha, child, CANCELLED, now)

    assert prune_ended(before=now + DAY, limit=10) == 1
    end(alpha, parent, OK, now)


def test_a_job_that_was_handed_over_for_good_cancels_what_waits_before_it_is_pruned(alpha: Any, now: datetime) -> None:
    parent = handed_over(alpha, now=now)
    child = waiting_for(alpha, f"any:{parent}", now=now)

    early = prune_handed_over(before=now + DAY, limit=10)
    settle_all(now)
    late = prune_handed_over(before=now + DAY, limit=10)

    assert (early, late, state_of(child)) == (0, 1, "cancelled")
    assert f"job {parent} was handed over for good" in Job.objects.get(id=child).reason


# What is told


def test_it_is_told_what_a_job_waits_for(alpha: Any, now: datetime) -> None:
    parents = [*submitted(alpha, 4, now=now), job_in(JobState.RUNNING, alpha, now=now)]
    one = waiting_for(alpha, f"any:{parents[-1]}", now=now)
    many = waiting_for(alpha, *parents, now=now)

    few, more = (explain_wait(by=alpha.submitter, job=Job.objects.get(id=job_id), now=now) for job_id in (one, many))

    assert few and more
    assert few.found == f"waits for job {parents[-1]} to end (running)"
    first = ", ".join(f"job {parent} to complete (queued)" for parent in parents[:3])
    assert more.found == f"waits for {first} and 2 more"


def test_states_of_what_it_waits_for_are_told_to_those_alone_who_see_that(alpha: Any, beta: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    group, _ = new_group(alpha.submitter, 2, now)
    child = waiting_for(alpha, parent, f"group:{group}", now=now)
    job = Job.objects.get(id=child)

    told = [
        explain_wait(by=by, job=job, now=now) for by in (alpha.submitter, operator_named("olga"), beta.puller, None)
    ]

    seen = f"waits for job {parent} to complete (queued) and group {group} to complete (0 of 2 over)"
    unseen = f"waits for job {parent} to complete (not yours to see) and group {group} to complete (not yours to see)"
    assert [one and one.found for one in told] == [seen, seen, unseen, unseen]


def test_a_job_is_shown_with_what_it_was_to_wait_for(alpha: Any, now: datetime) -> None:
    (parent,) = submitted(alpha, now=now)
    child = waiting_for(alpha, f"any:{parent}", now=now)
    end(alpha, parent, OK, now)

    assert get_jobs(by=alpha.submitter, job_ids=[child], brief=True)[child].after == (f"any:{parent}",)


def test_the_jobs_of_one_call_wait_for_no_more_than_is_soon_noted(
    alpha: Any, beta: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parents, "MOST_TERMS", 5)
    named = tuple(map(str, submitted(alpha, 3, now=now)))
    ours, theirs = submitted(beta, 1, now=now), JobSpec(command="true")
    specs = [JobSpec(command="true", after=named), JobSpec(command="true", after=named), theirs]
    orders = [Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=spec) for spec in specs]
    other = JobSpec(command="true", after=tuple(map(str, ours)))
    orders.append(Order(by=beta.submitter, cluster_id=beta.cluster.id, spec=other))

    first, beyond, plain, of_another = submit_jobs(orders=orders, now=now)

    assert [type(one) for one in (first, plain, of_another)] == [Receipt] * 3
    assert (type(beyond), getattr(beyond, "field", "")) == (InvalidArgument, "after")
