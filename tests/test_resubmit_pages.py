"""Submitting jobs again on pages: with changes, and the members of a group that failed."""

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from clusters.services.of_people import caller_of_person
from jobs.models import Job
from jobs.services.accept import accept_jobs
from jobs.states import JobState
from tests.support.members import browser_of, shares, submitted_by
from tests.test_groups import new_group, report
from tests.test_my_jobs import messages, text_of

JOBS, GROUPS = "/my/jobs/", "/my/groups/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def failed_of(alpha: Any, now: datetime) -> Any:
    """Makes a group of a person, so many of whose members failed, and one of which waits."""

    def made(who: Operator, failed: int) -> int:
        group, ids = new_group(caller_of_person(who.user_id, cluster="alpha"), failed + 1, now)
        if failed:
            accept_jobs(caller=alpha.puller, job_ids=ids[:failed], agent="a", now=now)
            report(alpha.puller, ids[:failed], JobState.FAILED, now, exit_code=1)
        return group

    return made


def sent(browser: Client, page: str, **said: str) -> Any:
    return browser.post(page, {**browser.get(page).context["form"].initial, **said}, follow=True)


def test_a_job_is_submitted_again_with_changes(alice: Operator, chem: Any, now: datetime) -> None:
    said = {"command": "train", "nodes": 2, "memory_mib_per_node": 512, "environment": {"A": "b"}, "name": "big"}
    (job_id,) = submitted_by(alice, now=now, **said)

    sent(
        browser_of(alice), f"{JOBS}{job_id}/resubmit/",
        nodes="4", memory_mib_per_node="64G", time_limit_seconds="1h30m", environment="SEED=7\r\nRATE=a=b\r\n",
    )  # fmt: skip

    new = Job.objects.latest("id")
    assert (new.command, new.name, new.nodes, new.memory_mib_per_node) == ("train", "big", 4, 65_536)
    assert (new.time_limit_seconds, new.environment) == (5_400, {"SEED": "7", "RATE": "a=b"})
    assert new.resubmission_of == job_id


def test_0_takes_a_limit_away(alice: Operator, chem: Any, now: datetime) -> None:
    (job_id,) = submitted_by(alice, now=now, time_limit_seconds=60, memory_mib_per_node=512)

    sent(browser_of(alice), f"{JOBS}{job_id}/resubmit/", time_limit_seconds="0", memory_mib_per_node="0")

    new = Job.objects.latest("id")
    assert (new.id > job_id, new.time_limit_seconds, new.memory_mib_per_node) == (True, 0, 0)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("nodes", "0"),
        ("nodes", "many"),
        ("nodes", "9" * 5_000),
        ("tasks", "-1"),
        ("memory_mib_per_node", "64X"),
        ("memory_mib_per_node", "500"),
        ("memory_mib_per_node", "500B"),
        ("memory_mib_per_node", "999999999T"),
        ("memory_mib_per_node", "²G"),
        ("time_limit_seconds", "soon"),
        ("time_limit_seconds", "9" * 5_000),
        ("time_limit_seconds", "9999d"),
        ("time_limit_seconds", "h"),
        ("environment", "A"),
        ("environment", "RAINBOW_JOB_ID=7"),
        ("environment", "A B=c"),
        ("command", "x" * 2_000_000),
        ("command", "a\0b"),
    ],
)
def test_a_change_that_will_not_do_is_told_at_its_field(
    alice: Operator, chem: Any, now: datetime, field: str, text: str
) -> None:
    (job_id,) = submitted_by(alice, now=now)

    answer = sent(browser_of(alice), f"{JOBS}{job_id}/resubmit/", **{field: text})

    assert answer.context["form"].errors.keys() == {field}
    assert "<details open>" in answer.content.decode()
    assert Job.objects.count() == 1


def test_the_failed_members_of_a_group_are_submitted_again(alice: Operator, chem: Any, failed_of: Any) -> None:
    group, browser = failed_of(alice, 3), browser_of(alice)
    page = f"{GROUPS}{group}/resubmit/"
    old = set(Job.objects.filter(state=JobState.FAILED).values_list("id", flat=True))

    assert f'href="{page}"' in text_of(browser, f"{GROUPS}{group}/")
    assert "Submit 3 jobs" in text_of(browser, page)
    done = sent(browser, page, nodes="2")

    new = list(Job.objects.exclude(group=group))
    assert messages(done) == ["3 jobs submitted again."]
    assert {job.resubmission_of for job in new} == old
    assert {(job.owner.username, job.project.name, job.nodes, job.group) for job in new} == {("alice", "chem", 2, 0)}


def test_a_form_that_is_sent_twice_submits_each_once(alice: Operator, chem: Any, failed_of: Any) -> None:
    page, browser = f"{GROUPS}{failed_of(alice, 2)}/resubmit/", browser_of(alice)
    said = browser.get(page).context["form"].initial

    answers = [browser.post(page, said, follow=True) for _ in range(2)]

    assert messages(answers[1]) == ["2 jobs submitted again before, by the same form."]
    assert Job.objects.count() == 3 + 2


def test_one_that_fails_before_the_form_is_sent_again_joins_those_that_were_submitted(
    alpha: Any, alice: Operator, chem: Any, failed_of: Any, now: datetime
) -> None:
    group, browser = failed_of(alice, 1), browser_of(alice)
    page = f"{GROUPS}{group}/resubmit/"
    said = browser.get(page).context["form"].initial
    browser.post(page, said, follow=True)
    waiting = Job.objects.get(group=group, state=JobState.QUEUED).id
    accept_jobs(caller=alpha.puller, job_ids=[waiting], agent="a", now=now)
    report(alpha.puller, [waiting], JobState.FAILED, now, exit_code=1)

    again = browser.post(page, said, follow=True)

    assert messages(again) == ["1 job submitted again.", "1 job submitted again before, by the same form."]
    assert Job.objects.filter(resubmission_of__gt=0).count() == 2


def test_where_all_are_refused_the_page_says_why(alice: Operator, chem: Any, failed_of: Any) -> None:
    page, browser = f"{GROUPS}{failed_of(alice, 2)}/resubmit/", browser_of(alice)

    answer = sent(browser, page, memory_mib_per_node="999999999G")

    assert answer.context["form"].errors.keys() == {"memory_mib_per_node"}
    assert len(answer.context["form"].errors["memory_mib_per_node"]) == 1
    assert Job.objects.count() == 3


def test_a_group_without_failures_has_nothing_to_submit(alice: Operator, chem: Any, failed_of: Any) -> None:
    group, browser = failed_of(alice, 0), browser_of(alice)
    page = f"{GROUPS}{group}/resubmit/"

    assert "/resubmit/" not in text_of(browser, f"{GROUPS}{group}/")
    assert "No job of the group failed." in text_of(browser, page)
    browser.post(page, {"cluster": "alpha", "project": "chem", "key": "k"})
    assert Job.objects.count() == 1


def test_too_many_are_for_the_command_line(alice: Operator, chem: Any, failed_of: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("jobs.my.resubmit.MAX_LOOKUP", 1)
    page, browser = f"{GROUPS}{failed_of(alice, 2)}/resubmit/", browser_of(alice)

    assert "rainbow resubmit --failed-of" in text_of(browser, page)
    browser.post(page, {"cluster": "alpha", "project": "chem", "key": "k"})
    assert Job.objects.count() == 3


def test_another_persons_group_is_not_there_and_one_that_is_seen_may_be_submitted(
    alice: Operator, bob: Operator, chem: Any, failed_of: Any, now: datetime
) -> None:
    page, browser = f"{GROUPS}{failed_of(bob, 2)}/resubmit/", browser_of(alice)

    assert (browser.get(page).status_code, browser.post(page).status_code) == (404, 404)
    shares(chem, now=now)
    sent(browser, page)

    new = Job.objects.filter(resubmission_of__gt=0)
    assert {job.owner.username for job in new} == {"alice"} and len(new) == 2


def test_another_sites_page_cannot_submit(alice: Operator, chem: Any, failed_of: Any) -> None:
    group, client = failed_of(alice, 1), Client(enforce_csrf_checks=True)
    client.cookies = browser_of(alice).cookies

    answer = client.post(f"{GROUPS}{group}/resubmit/", {"cluster": "alpha", "project": "chem", "key": "k"})

    assert (answer.status_code, Job.objects.count()) == (403, 2)


def test_an_operator_submits_again_as_the_person_that_they_are(
    alice: Operator, bob: Operator, chem: Any, failed_of: Any
) -> None:
    """The console leads those to the page of people who may submit there, and nobody else."""
    group, browser = failed_of(alice, 1), browser_of(alice)
    for name in ("alice", "bob"):
        User.objects.filter(username=name).update(is_staff=True)
        Group.objects.get(name="operators").user_set.add(User.objects.get(username=name))
    (failed,) = Job.objects.filter(state=JobState.FAILED)
    pages = (f"/admin/jobs/job/groups/{group}/", f"/admin/jobs/job/{failed.id}/change/")
    links = (f'href="{GROUPS}{group}/resubmit/"', f'href="{JOBS}{failed.id}/resubmit/"')

    for page, link in zip(pages, links, strict=True):
        assert link in text_of(browser, page)
        assert link not in text_of(browser_of(bob), page)


def test_a_command_of_many_lines_is_submitted_as_it_was_written(alice: Operator, chem: Any, now: datetime) -> None:
    (job_id,) = submitted_by(alice, now=now)

    sent(browser_of(alice), f"{JOBS}{job_id}/resubmit/", command="cd /data\r\n./run\r\n")

    assert Job.objects.latest("id").command == "cd /data\n./run\n"
