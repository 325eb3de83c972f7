"""What happens is counted as time goes by, in stretches of five minutes, an hour and six hours."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import JobActivity
from jobs.queries.activity import activity_by_cluster, activity_over
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.prune_activity import prune_activity
from jobs.sql.inserts import activity_totals_added, beginning
from jobs.sql.statements import run_in_order
from jobs.states import Activity, Span
from tests.support.queue import submitted


def activity(span_seconds: int) -> dict[tuple[str, str], int]:
    rows = JobActivity.objects.filter(span_seconds=span_seconds).order_by("began_at", "id")
    return {(f"{row.began_at:%H:%M}", row.what): row.jobs for row in rows}


def test_every_step_is_counted_in_every_span(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now + timedelta(minutes=4))
    accept_jobs(caller=alpha.puller, job_ids=ids[:2], agent="a", now=now + timedelta(minutes=5))
    cancel_jobs(by=alpha.submitter, job_ids=ids, now=now + timedelta(hours=1))

    assert activity(300) == {("12:00", "submitted"): 3, ("12:05", "accepted"): 2, ("13:00", "cancelled"): 1}
    assert activity(3_600) == {("12:00", "submitted"): 3, ("12:00", "accepted"): 2, ("13:00", "cancelled"): 1}
    assert activity(21_600) == {("12:00", "submitted"): 3, ("12:00", "accepted"): 2, ("12:00", "cancelled"): 1}


def test_submissions_in_one_stretch_share_a_row(alpha: Any, beta: Any, now: datetime) -> None:
    for minute in range(4):
        submitted(alpha, 10, now=now + timedelta(minutes=minute))
        submitted(beta, 5, now=now + timedelta(minutes=minute))

    rows = JobActivity.objects.filter(span_seconds=300).order_by("cluster_id")
    assert list(rows.values_list("cluster__name", "jobs")) == [("alpha", 40), ("beta", 20)]


def test_a_timeline_has_a_number_for_every_stretch(alpha: Any, beta: Any, now: datetime) -> None:
    submitted(alpha, 2, now=now)
    submitted(beta, 3, now=now)
    submitted(alpha, 5, now=now + timedelta(minutes=10))

    fleet = activity_over(span=Span.FIVE_MINUTES, stretches=4, now=now + timedelta(minutes=12))
    alone = activity_over(
        span=Span.FIVE_MINUTES, stretches=4, now=now + timedelta(minutes=12), cluster_id=alpha.cluster.id
    )

    assert [f"{at:%H:%M}" for at in fleet.beginnings] == ["11:55", "12:00", "12:05", "12:10"]
    assert fleet.numbers[Activity.SUBMITTED] == [0, 5, 0, 5]
    assert alone.numbers[Activity.SUBMITTED] == [0, 2, 0, 5]
    assert fleet.total(Activity.FAILED, Activity.COMPLETED) == [0, 0, 0, 0]


def test_activity_by_cluster_tells_clusters_apart(alpha: Any, beta: Any, now: datetime) -> None:
    submitted(alpha, 2, now=now)
    submitted(beta, 3, now=now)

    totals = activity_by_cluster(span=Span.FIVE_MINUTES, since=now, until=now + timedelta(hours=1))

    assert totals == {alpha.cluster.id: {Activity.SUBMITTED: 2}, beta.cluster.id: {Activity.SUBMITTED: 3}}


def test_pruning_joins_slots_and_forgets_what_is_old(alpha: Any, now: datetime) -> None:
    def add(at: datetime, *, slot: int) -> None:
        run_in_order(activity_totals_added({(Span.FIVE_MINUTES, at, alpha.cluster.id, "failed"): 1}, slot=slot))

    for slot in range(4):
        add(now, slot=slot)
    add(now - timedelta(days=3), slot=0)

    prune_activity(now=now + timedelta(hours=1))
    prune_activity(now=now + timedelta(hours=1))

    assert list(JobActivity.objects.values_list("slot", "jobs")) == [(0, 4)]


def test_slots_are_joined_in_the_order_in_which_activity_is_added(
    alpha: Any, beta: Any, postgresql_only: None, now: datetime
) -> None:
    """Of rows in another order than a late writer's each could wait for one that the other has locked."""
    at = beginning(Span.FIVE_MINUTES, now)
    for member in (beta, alpha):
        run_in_order(activity_totals_added({(Span.FIVE_MINUTES, at, member.cluster.id, "failed"): 1}, slot=3))

    with CaptureQueriesContext(connection) as queries:
        prune_activity(now=now + timedelta(hours=1))

    (locking,) = (query["sql"] for query in queries if "FOR UPDATE" in query["sql"])
    wanted, order = locking.split(" FROM ")[0].split(", "), locking.split("ORDER BY ")[1].split(", ")
    # Django names a column that is read by its place.
    names = [wanted[int(name) - 1] if (name := column.split(" ")[0]).isdecimal() else name for column in order]
    assert [name.split(" ")[0].split(".")[-1] for name in names] == ['"cluster_id"', '"what"', '"slot"']
