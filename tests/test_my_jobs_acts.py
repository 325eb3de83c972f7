"""What people do with jobs on their pages, they do under their own name, and no more than they may."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from clusters.services.projects import Change, remove_member, withdraw_cluster
from jobs.models import Job, JobEvent
from tests.support.members import browser_of, personal_token, project_of, shares, submitted_by
from tests.support.rest import Rest
from tests.test_my_jobs import JOBS, PAGES, messages, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def resubmitted(client: Client, job_id: int, **said: str) -> Any:
    page = f"{JOBS}{job_id}/resubmit/"
    asked = {**client.get(page).context["form"].initial, **said}
    return client.post(page, asked, follow=True)


def test_people_cancel_their_jobs_under_their_name(alice: Operator, chem: Any, now: datetime) -> None:
    ids, browser = submitted_by(alice, 3, now=now), browser_of(alice)

    asked = browser.get(f"{JOBS}cancel/", {"id": ids})
    done = browser.post(f"{JOBS}cancel/", {"id": ids[:2], "reason": "wrong input"}, follow=True)

    assert "Cancel 3 jobs" in asked.content.decode()
    assert messages(done) == ["2 jobs cancelled."]
    assert list(Job.objects.order_by("id").values_list("state", "reason")) == [("cancelled", "wrong input")] * 2 + [
        ("queued", "")
    ]
    assert {event.who for event in JobEvent.objects.filter(what="cancelled")} == {"alice"}


def test_a_job_is_submitted_again_as_ones_own(
    alpha: Any, beta: Any, alice: Operator, bob: Operator, chem: Any, now: datetime
) -> None:
    project_of(alice, name="bio", at=("alpha", "beta"), now=now)
    shares(chem, now=now)
    said = {"command": "make cake", "environment": {"A": "b"}, "nodes": 3, "labels": {"a": "b"}, "needs": ("gpu",)}
    his = submitted_by(bob, now=now, **said, hold_if_unservable=True)[0]

    done = resubmitted(browser_of(alice), his, cluster="beta", project="bio")

    new = Job.objects.latest("id")
    assert messages(done) == [f"Submitted as job {new.id}."]
    assert done.redirect_chain == [(f"{JOBS}{new.id}/", 302)]
    assert (new.owner.username, new.project.name, new.cluster.name) == ("alice", "bio", "beta")
    assert {name: getattr(new, name) for name in said} == {**said, "needs": ["gpu"]}
    assert JobEvent.objects.get(job=new).who == "alice"
    assert Job.objects.get(id=his).owner.username == "bob"


def test_a_form_that_is_sent_twice_submits_one_job(alice: Operator, chem: Any, now: datetime) -> None:
    page, browser = f"{JOBS}{submitted_by(alice, now=now)[0]}/resubmit/", browser_of(alice)
    said = browser.get(page).context["form"].initial

    there = [browser.post(page, said)["Location"] for _ in range(2)]

    assert there[0] == there[1]
    assert Job.objects.count() == 2


def test_what_was_over_or_is_signed_is_left_out(alice: Operator, chem: Any, now: datetime) -> None:
    job_id = submitted_by(alice, now=now, expires_at=now + timedelta(hours=1))[0]
    Job.objects.filter(id=job_id).update(expires_at=now - timedelta(hours=1), signature="{}")

    resubmitted(browser_of(alice), job_id)

    new = Job.objects.latest("id")
    assert (new.id > job_id, new.expires_at, new.signature) == (True, None, "")


def test_a_submission_out_of_reach_is_refused_and_said(
    alpha: Any, beta: Any, alice: Operator, chem: Any, now: datetime
) -> None:
    project_of(alice, name="bio", at=("beta",), now=now)
    job_id, browser = submitted_by(alice, project="chem", now=now)[0], browser_of(alice)

    wrong = [
        resubmitted(browser, job_id, cluster="mallory"),
        resubmitted(browser, job_id, project="none"),
        resubmitted(browser, job_id, cluster="beta", project="chem"),
    ]

    assert ["Select a valid choice" in answer.content.decode() for answer in wrong] == [True, True, False]
    assert "must be one of bio" in wrong[2].content.decode()
    withdraw_cluster(project_id=chem.id, cluster="alpha", change=Change(by=None, now=now))
    assert "Select a valid choice" in resubmitted(browser, job_id, cluster="alpha").content.decode()
    assert Job.objects.count() == 1


def test_a_person_without_a_project_is_offered_no_submission(alice: Operator, chem: Any, now: datetime) -> None:
    job_id, browser = submitted_by(alice, now=now)[0], browser_of(alice)
    remove_member(project_id=chem.id, person="alice", change=Change(by=None, now=now))

    assert "Submit again…" not in text_of(browser, f"{JOBS}{job_id}/")
    assert browser.post(f"{JOBS}{job_id}/resubmit/", {"cluster": "alpha", "project": "chem"}).status_code == 200
    assert Job.objects.count() == 1


@pytest.mark.parametrize("address", PAGES[2:])
def test_another_sites_page_cannot_act_in_a_persons_name(
    alice: Operator, chem: Any, now: datetime, address: str
) -> None:
    job_id = submitted_by(alice, now=now)[0]
    client = Client(enforce_csrf_checks=True)
    client.cookies = browser_of(alice).cookies

    answer = client.post(address.format(j=job_id), {"id": job_id, "cluster": "alpha", "project": "chem", "key": "k"})

    assert answer.status_code == 403
    assert list(Job.objects.values_list("state", flat=True)) == ["queued"]


def test_a_personal_token_sees_what_was_submitted_on_a_page(alice: Operator, chem: Any, now: datetime) -> None:
    job_id = submitted_by(alice, now=now)[0]

    job = Rest(personal_token(alice, now=now)).get(f"jobs/{job_id}").json()

    assert (job["owner"], job["submitted_by"]) == ("alice", None)
