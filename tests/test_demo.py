"""manage.py demo: a fleet that one would believe, made quickly, true to the rules of real ones."""

from datetime import datetime, timedelta
from io import StringIO
from random import Random
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import F, Sum

from clusters.models import Cluster
from jobs.demo.fleet import fleet_of
from jobs.demo.lives import lives
from jobs.demo.stage import create_demo_data, refresh_demo_requests
from jobs.models import Job, JobActivity, JobEvent, Serves
from jobs.queries.fleet_health import ConcernKind, concerns, fleet_health
from jobs.states import Activity, JobState, Span
from tests.support.queue import counted, recounted


@pytest.fixture
def staged(db: None, now: datetime) -> None:
    create_demo_data(clusters=12, jobs=3_000, now=now)


def test_every_state_is_there_and_counted(staged: None) -> None:
    # No job of the demo waits for another.
    assert {state for _, state, _ in counted()} == set(JobState) - {JobState.BLOCKED}
    assert counted() == recounted()


def test_the_last_event_of_a_job_is_its_state(staged: None) -> None:
    ends = JobEvent.objects.order_by("job_id", "-id")
    last: dict[int, str] = {}
    for job_id, state in ends.values_list("job_id", "state"):
        last.setdefault(job_id, state)

    assert last == dict(Job.objects.values_list("id", "state"))


def test_the_times_of_a_job_are_in_order(staged: None, now: datetime) -> None:
    assert not Job.objects.filter(accepted_at__lt=F("submitted_at")).exists()
    assert not Job.objects.filter(started_at__lt=F("accepted_at")).exists()
    assert not Job.objects.filter(finished_at__lt=F("started_at")).exists()
    assert not Job.objects.filter(finished_at__gt=now).exists()


def test_activity_adds_up(staged: None) -> None:
    submitted = JobActivity.objects.filter(what=Activity.SUBMITTED, span_seconds=Span.SIX_HOURS)

    assert submitted.aggregate(total=Sum("jobs"))["total"] == 3_000


def test_it_is_the_same_at_every_time_of_day(now: datetime) -> None:
    def told(at: datetime) -> list[tuple[str, str, timedelta]]:
        made = lives(fleet_of(12), jobs=500, now=at, random=Random(1))
        return [(life.profile.name, life.state, at - life.moments[-1].at) for life in made]

    assert told(now) == told(now + timedelta(hours=5)) == told(now + timedelta(hours=12))


def test_there_is_something_to_attend_to(db: None, now: datetime) -> None:
    create_demo_data(clusters=12, jobs=15_000, now=now)

    found = concerns(fleet=fleet_health(now=now), development_secret=False, debug=False, now=now)

    assert {ConcernKind.SILENT, ConcernKind.LOST, ConcernKind.FAILING, ConcernKind.EXPIRING} <= {
        concern.kind for concern in found
    }


def test_clusters_that_are_well_go_on_asking(staged: None, now: datetime) -> None:
    refresh_demo_requests(now=now + timedelta(hours=1))

    silent = [health.cluster.name for health in fleet_health(now=now + timedelta(hours=1)) if not health.asks]
    assert silent == ["keebler", "pampas"]


def test_jobs_wait_in_a_pool_that_its_clusters_serve(staged: None, now: datetime) -> None:
    pool = Cluster.objects.get(pool=True)

    (health,) = fleet_health(now=now, clusters=[pool])
    assert (health.waiting, health.asks) == (3, True)
    serving = Serves.objects.filter(queue__cluster=pool)
    assert set(serving.values_list("cluster__name", "after_seconds")) == {("dorado-gpu", 0), ("kestrel", 600)}


def test_a_fleet_without_its_clusters_has_no_pool(db: None, now: datetime) -> None:
    create_demo_data(clusters=2, jobs=100, now=now)

    assert not Cluster.objects.filter(pool=True).exists()


def test_the_command_says_how_to_sign_in(db: None) -> None:
    said = StringIO()

    call_command("demo", jobs=50, clusters=14, stdout=said)

    assert said.getvalue().startswith("Making 14 clusters and 50 jobs; how to sign in follows.\n")
    password = said.getvalue().split()[-1]
    operator, viewer = (authenticate(username=name, password=password) for name in ("operator", "viewer"))
    assert operator and operator.has_perm("jobs.change_job")
    assert viewer and viewer.has_perm("jobs.view_job") and not viewer.has_perm("jobs.change_job")
    assert Cluster.objects.filter(pool=False).count() == 14


def test_a_database_in_use_is_left_alone(alpha: Any) -> None:
    with pytest.raises(CommandError, match="wants an empty one"):
        call_command("demo")
    assert not Job.objects.exists()


def test_a_database_with_accounts_is_left_alone(db: None) -> None:
    """Else a server in use would have accounts whose password somebody saw on a screen."""
    User.objects.create_user("ada")

    with pytest.raises(CommandError, match="wants an empty one"):
        call_command("demo")
    assert not Cluster.objects.exists()
    assert User.objects.get().username == "ada"


@pytest.mark.parametrize("flag", ["--jobs=0", "--jobs=-5", "--jobs=10000001", "--clusters=0", "--clusters=x"])
def test_a_number_that_cannot_be_is_refused(db: None, flag: str) -> None:
    with pytest.raises(CommandError, match=r"must be 1 to 10,000"):
        call_command("demo", flag)
    assert not Cluster.objects.exists()
