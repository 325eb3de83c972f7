"""The operators' console names the persons and projects whose jobs it shows, and finds jobs by them."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from jobs.models import BulkAction, Job
from tests.support.console import signed_in
from tests.support.members import browser_of, project_of, submitted_by

JOBS = "/admin/jobs/job/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def olaf(db: None) -> Client:
    return signed_in("olaf", "operators")


@pytest.fixture
def jobs(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> list[int]:
    """Of alice for chem, of bob for chem, and of bob for bio."""
    project_of(alice, bob, name="chem", now=now)
    project_of(bob, name="bio", now=now)
    whose = ((alice, "chem"), (bob, "chem"), (bob, "bio"))
    return [submitted_by(who, project=project, now=now)[0] for who, project in whose]


@pytest.mark.parametrize(
    ("query", "places"),
    [("owner=alice", [0]), ("owner=bob", [2, 1]), ("project=chem", [1, 0]), ("owner=bob&project=chem", [1]),
     ("project=chem&cluster={c}&state=queued", [1, 0]), ("owner=alice&project=bio", [])],
)  # fmt: skip
def test_jobs_are_found_by_their_owner_and_project(
    alpha: Any, olaf: Client, jobs: list[int], query: str, places: list[int]
) -> None:
    page = olaf.get(f"{JOBS}?{query.format(c=alpha.cluster.id)}").context["page"]

    assert [job.id for job in page.jobs] == [jobs[place] for place in places]


def test_a_person_or_project_that_is_not_there_is_said(olaf: Client, jobs: list[int]) -> None:
    shown = olaf.get(f"{JOBS}?owner=nobody&project=nothing").content.decode()

    assert "there is no such person" in shown and "there is no such project" in shown


def test_the_list_and_the_page_name_owner_and_project(olaf: Client, jobs: list[int]) -> None:
    for address in (JOBS, f"{JOBS}{jobs[0]}/change/"):
        shown = olaf.get(address).content.decode()
        assert "alice" in shown and "chem" in shown


def test_what_is_done_to_all_that_match_leaves_the_jobs_of_others_alone(olaf: Client, jobs: list[int]) -> None:
    begin = f"{JOBS}bulk/begin/cancel/?owner=bob&project=chem"
    asked = olaf.get(begin).content.decode()
    page = olaf.post(begin, {"reason": "wrong"})["Location"]
    while not BulkAction.objects.get().over:
        olaf.post(f"{page}step/")

    assert "of the person bob" in asked and "Cancel 1 job" in asked
    assert list(Job.objects.order_by("id").values_list("state", flat=True)) == ["queued", "cancelled", "queued"]


def test_what_a_bulk_action_is_for_is_written_as_earlier_releases_read_it(olaf: Client, jobs: list[int]) -> None:
    olaf.post(f"{JOBS}bulk/begin/cancel/?state=queued", {"reason": "wrong"})

    assert not {"owner_id", "project_id"} & BulkAction.objects.get().search.keys()


def test_a_person_has_no_console(alice: Operator, jobs: list[int]) -> None:
    assert browser_of(alice).get(f"{JOBS}{jobs[0]}/change/").status_code == 302
