"""What jobs use is kept by day, cluster, project and person, in the transactions that end their attempts."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.callers import Operator
from clusters.models import Role
from clusters.services.of_people import caller_of_person
from clusters.services.projects import Change, add_member
from jobs.models import Job, Usage
from jobs.queries.usage import Asked, By, UsageRow, usage
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.expire import expire_leases
from jobs.services.prune_usage import prune_usage
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.sql.statements import run_in_order
from jobs.sql.usage import usage_added
from jobs.states import JobState, OnLost
from jobs.usage import MAX_NODE_SECONDS
from rainbow.errors import InvalidArgument
from tests.support.members import project_of, shares, submitted_by
from tests.support.queue import operator_named, submitted

AGENT = "agent-1"
TODAY = date(2026, 11, 1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def ran(member: Any, ids: list[int], *, at: datetime, started: datetime, finished: datetime) -> None:
    """Accepted at a time, and reported an hour later to have run so long."""
    accept_jobs(caller=member.puller, job_ids=ids, agent=AGENT, now=at)
    reports = [
        Report(job_id=id, attempt=1, state=JobState.COMPLETED, started_at=started, finished_at=finished) for id in ids
    ]
    report_jobs(caller=member.puller, agent=AGENT, reports=reports, now=at + HOUR)


def report(member: Any, job_id: int, state: JobState, *, now: datetime, **said: Any) -> None:
    reports = [Report(job_id=job_id, attempt=1, state=state, native_id="n", **said)]
    report_jobs(caller=member.puller, agent=AGENT, reports=reports, now=now)


def rows() -> list[tuple[Any, ...]]:
    """Of a test's only day and cluster."""
    return list(Usage.objects.order_by("owner").values_list("day", "owner__username", "jobs", "node_seconds"))


def of(seen_as: Any, *by: By, **asked: Any) -> list[UsageRow]:
    return usage(Asked(**{"since": TODAY, "until": TODAY + DAY, "by": by or tuple(By), **asked}), seen_as=seen_as)


def test_jobs_are_counted_for_their_person_project_cluster_and_day(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    ids = submitted_by(alice, 2, nodes=3, now=now)
    ran(alpha, ids, at=now, started=now + MINUTE, finished=now + 3 * MINUTE)
    ran(alpha, submitted(alpha, now=now), at=now, started=now, finished=now + 2 * MINUTE)

    assert of(operator_named("olga")) == [
        UsageRow(day=TODAY, cluster="alpha", project="", person="", jobs=1, node_seconds=120),
        UsageRow(day=TODAY, cluster="alpha", project="chem", person="alice", jobs=2, node_seconds=720),
    ]


def test_the_day_is_that_of_the_end_in_utc(alpha: Any, now: datetime) -> None:
    evening = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    ran(alpha, submitted(alpha, now=now), at=evening, started=evening, finished=evening + 40 * MINUTE)

    assert rows() == [(TODAY + DAY, None, 1, 2_400)]


@pytest.mark.parametrize(
    ("started", "finished", "seconds"),
    [
        (-365 * DAY, MINUTE, 60),
        (timedelta(0), 365 * DAY, 3_600),
        (30 * MINUTE, -365 * DAY, 0),
        (365 * DAY, 365 * DAY, 0),
    ],
)
def test_an_agent_is_believed_within_the_time_that_it_had_the_job(
    alpha: Any, now: datetime, started: timedelta, finished: timedelta, seconds: int
) -> None:
    ran(alpha, submitted(alpha, nodes=1, now=now), at=now, started=now + started, finished=now + finished)

    assert rows() == [(TODAY, None, 1, seconds)]


def test_a_servers_clock_that_was_set_back_makes_nothing_negative(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)
    report(alpha, job_id, JobState.RUNNING, now=now + MINUTE)
    report(alpha, job_id, JobState.COMPLETED, now=now - HOUR)

    assert rows() == [(TODAY, None, 1, 0)]


def test_no_number_of_nodes_overflows(alpha: Any, now: datetime) -> None:
    for _ in range(2):
        ids = submitted(alpha, 20, nodes=2**31 - 1, now=now)
        ran(alpha, ids, at=now, started=now, finished=now + HOUR)

    assert rows() == [(TODAY, None, 40, MAX_NODE_SECONDS)]
    assert [row.node_seconds for row in of(operator_named("olga"), By.CLUSTER)] == [MAX_NODE_SECONDS]


def test_an_end_that_is_reported_again_counts_once(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, now=now)
    for _ in range(2):
        ran(alpha, ids, at=now, started=now, finished=now + MINUTE)
    report(alpha, ids[0], JobState.FAILED, now=now + HOUR)

    assert rows() == [(TODAY, None, 1, 60)]


def test_jobs_that_never_ran_count_nothing(alpha: Any, now: datetime) -> None:
    waits, refused = submitted(alpha, 2, now=now)
    cancel_jobs(by=alpha.submitter, job_ids=[waits], now=now)
    accept_jobs(caller=alpha.puller, job_ids=[refused], agent=AGENT, now=now)
    report(alpha, refused, JobState.FAILED, reason="policy", now=now + MINUTE)

    assert rows() == []


def test_a_lost_job_that_is_cancelled_counts_until_it_was_lost(alpha: Any, now: datetime) -> None:
    (job_id,) = submitted(alpha, nodes=2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)
    report(alpha, job_id, JobState.RUNNING, now=now)
    expire_leases(now=now + HOUR, present_since=now)
    lost_at = Job.objects.values_list("lost_at", flat=True).get(id=job_id)
    assert lost_at
    cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now + 20 * HOUR)

    assert rows() == [(TODAY, None, 1, 2 * int((lost_at - now).total_seconds()))]


def lost(member: Any, now: datetime, on_lost: OnLost) -> int:
    (job_id,) = submitted(member, on_lost=on_lost, now=now)
    accept_jobs(caller=member.puller, job_ids=[job_id], agent=AGENT, now=now)
    report(member, job_id, JobState.RUNNING, now=now)
    # The first look notices an outage, in which no lease ends.
    expire_leases(now=now)
    for minutes in range(5, 62, 5):
        expire_leases(now=now + minutes * MINUTE, present_since=now)
    return job_id


@pytest.mark.parametrize("on_lost", OnLost)
def test_each_attempt_counts_its_time_and_only_the_last_the_job(alpha: Any, now: datetime, on_lost: OnLost) -> None:
    job_id = lost(alpha, now, on_lost)
    if on_lost == OnLost.KEEP:
        requeue_jobs(by=operator_named("olga"), job_ids=[job_id], reason="again", now=now + 5 * HOUR)
    first = Usage.objects.get()
    assert first.jobs == 0 and 300 <= first.node_seconds <= 3_600
    later = now + 6 * HOUR
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=later)
    reports = [Report(job_id=job_id, attempt=2, state=JobState.COMPLETED, started_at=later)]
    report_jobs(caller=alpha.puller, agent=AGENT, reports=reports, now=later + MINUTE)

    assert rows() == [(TODAY, None, 1, first.node_seconds + 60)]


def test_a_batch_that_ends_jobs_costs_one_statement_more_and_others_none(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 5, now=now)
    with CaptureQueriesContext(connection) as queries:
        accept_jobs(caller=alpha.puller, job_ids=ids, agent=AGENT, now=now)
        for id in ids:
            report(alpha, id, JobState.RUNNING, now=now)
    assert not [query for query in queries if "jobs_usage" in query["sql"]]

    with CaptureQueriesContext(connection) as queries:
        ran(alpha, ids, at=now, started=now, finished=now + MINUTE)
    assert len([query for query in queries if "jobs_usage" in query["sql"]]) == 1


# Who sees what


def test_a_person_sees_their_own_and_of_projects_that_show_their_jobs(
    alpha: Any, beta: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    chem = project_of(alice, bob, at=("alpha", "beta"), now=now)
    for who, cluster in ((alice, alpha), (bob, beta)):
        ran(cluster, submitted_by(who, cluster=cluster.name, now=now), at=now, started=now, finished=now + MINUTE)

    def seen(who: Operator) -> list[str]:
        return [row.person for row in of(caller_of_person(who.user_id), By.PERSON)]

    assert (seen(alice), seen(bob)) == (["alice"], ["bob"])
    add_member(project_id=chem.id, person="bob", role=Role.LEAD, change=Change(by=None, now=now))
    assert (seen(alice), seen(bob)) == (["alice"], ["alice", "bob"])
    shares(chem, now=now)
    assert (seen(alice), seen(bob)) == (["alice", "bob"], ["alice", "bob"])
    assert of(alpha.submitter) == []


def test_usage_is_told_apart_and_narrowed_as_asked(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, at=("alpha", "beta"), now=now)
    for cluster in (alpha, beta):
        ran(cluster, submitted_by(alice, cluster=cluster.name, now=now), at=now, started=now, finished=now + MINUTE)
    olga = operator_named("olga")

    assert [(row.person, row.node_seconds) for row in of(olga, By.PERSON)] == [("alice", 120)]
    assert [(row.cluster, row.node_seconds) for row in of(olga, By.CLUSTER)] == [("alpha", 60), ("beta", 60)]
    assert [row.jobs for row in of(olga, By.DAY, cluster="beta")] == [1]
    assert of(olga, project="other") == of(olga, person="bob") == of(olga, since=TODAY + DAY) == []


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("until", {"since": TODAY, "until": TODAY - DAY}),
        ("until", {"since": TODAY, "until": TODAY + 366 * DAY}),
        ("by", {"by": ()}),
    ],
)
def test_what_cannot_be_asked_is_refused(db: None, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        usage(Asked(**{"since": TODAY, "until": TODAY, **wrong}), seen_as=Operator(user_id=1, name="olga"))
    assert refused.value.field == field


# Retention


def test_slots_of_days_that_are_over_are_joined_and_old_days_go(alpha: Any, alice: Operator, now: datetime) -> None:
    keys = [(TODAY, alpha.cluster.id, None, None), (TODAY, alpha.cluster.id, None, alice.user_id)]
    for slot in range(4):
        run_in_order(usage_added(dict.fromkeys(keys, (1, 10)), into=slot))
    run_in_order(usage_added({(TODAY - 6 * 366 * DAY, alpha.cluster.id, None, None): (1, 1)}))

    prune_usage(now=now)
    assert Usage.objects.count() == 8
    prune_usage(now=now + DAY)

    assert sorted(Usage.objects.values_list("owner", "slot", "jobs", "node_seconds"), key=str) == [
        (alice.user_id, 0, 4, 40),
        (None, 0, 4, 40),
    ]
