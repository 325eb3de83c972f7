"""The pages of people show their jobs, and those of their projects where these share them, and no others."""

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.callers import Operator
from clusters.models import Role
from clusters.services.projects import Change, add_member, remove_member
from jobs.models import Job
from jobs.services.accept import accept_jobs
from tests.support.console import signed_in
from tests.support.members import browser_of, project_of, shares, submitted_by
from tests.test_console_plans import ends_at_once, plan_of, whole_reads
from tests.test_hostile_text import EVIL, MARKUP, Page

JOBS = "/my/jobs/"
PAGES = [JOBS, f"{JOBS}{{j}}/", f"{JOBS}{{j}}/resubmit/", f"{JOBS}{{j}}/signal/", f"{JOBS}cancel/?id={{j}}"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def ids_on(client: Client, query: str = "") -> list[int]:
    return [job.id for job in client.get(f"{JOBS}{query}").context["page"].jobs]


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


# Where one is led


def test_the_start_page_leads_everyone_to_theirs(alice: Operator) -> None:
    assert Client().get("/")["Location"] == "/sign-in/"
    assert browser_of(alice).get("/", follow=True).redirect_chain == [(JOBS, 302)]
    assert browser_of(alice).get("/my/", follow=True).redirect_chain == [(JOBS, 302)]
    assert signed_in("olaf", "operators").get("/")["Location"] == "/admin/"


def test_people_come_to_their_pages_when_they_sign_in(alice: Operator) -> None:
    browser = browser_of(alice)

    assert browser.get("/sign-in/", follow=True).redirect_chain[-1] == (JOBS, 302)
    assert 'href="/"' in text_of(browser, "/admin/login/")
    assert browser.get("/admin/")["Location"].startswith("/admin/login/")


def test_staff_go_to_and_fro(alice: Operator) -> None:
    olaf = signed_in("olaf", "operators")

    assert f'href="{JOBS}"' in text_of(olaf, "/admin/")
    assert 'href="/admin/">Console' in text_of(olaf, JOBS)
    assert "Console" not in text_of(browser_of(alice), JOBS)


@pytest.mark.parametrize("address", PAGES)
def test_strangers_are_asked_to_sign_in_and_come_back(alice: Operator, chem: Any, now: datetime, address: str) -> None:
    page = address.format(j=submitted_by(alice, now=now)[0])

    answer = Client().get(page)

    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/sign-in/")
    assert answer["Location"].endswith(f"next={page.replace('?', '%3F').replace('=', '%3D')}")


@pytest.mark.parametrize("target", ["https://evil.example.org/", "//evil.example.org/", "/\\evil.example.org/"])
def test_signing_in_leads_to_no_other_site(alice: Operator, target: str) -> None:
    assert browser_of(alice).get("/sign-in/", {"next": target})["Location"] == "/"


# What one sees


def test_people_see_their_own_jobs_alone(alice: Operator, bob: Operator, chem: Any, now: datetime) -> None:
    mine, his = submitted_by(alice, 2, now=now), submitted_by(bob, now=now)

    assert ids_on(browser_of(alice)) == mine[::-1]
    assert ids_on(browser_of(bob)) == his


def test_a_project_that_shares_shows_jobs_that_one_may_not_cancel(
    alice: Operator, bob: Operator, chem: Any, now: datetime
) -> None:
    his = submitted_by(bob, now=now)[0]
    shares(chem, now=now)
    browser = browser_of(alice)

    assert ids_on(browser) == [his]
    assert ids_on(browser, "?whose=mine") == []
    page = text_of(browser, f"{JOBS}{his}/")
    assert "bob" in page and "Cancel…" not in page and "Submit again…" in page
    refused = browser.post(f"{JOBS}cancel/", {"id": his}, follow=True)
    assert messages(refused) == ["Choose jobs that you may cancel first."]
    assert Job.objects.get(id=his).state == "queued"


def test_a_lead_cancels_the_jobs_of_members(alice: Operator, bob: Operator, chem: Any, now: datetime) -> None:
    his = submitted_by(bob, now=now)[0]
    add_member(project_id=chem.id, person="alice", role=Role.LEAD, change=Change(by=None, now=now))

    browser_of(alice).post(f"{JOBS}cancel/", {"id": his, "reason": "too long"})

    assert Job.objects.get(id=his).state == "cancelled"


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("address", PAGES[1:4])
def test_another_persons_job_is_not_there(
    alice: Operator, bob: Operator, chem: Any, now: datetime, address: str, method: str
) -> None:
    his = submitted_by(bob, now=now)[0]
    mallory = browser_of(alice)

    answers = [getattr(mallory, method)(address.format(j=id)) for id in (his, 987_654, 9**20)]

    expected = 405 if method == "post" and address == PAGES[1] else 404
    assert [answer.status_code for answer in answers] == [expected] * 3
    assert Job.objects.count() == 1


def test_filters_narrow_the_list(alpha: Any, beta: Any, alice: Operator, chem: Any, now: datetime) -> None:
    bio = project_of(alice, name="bio", at=("beta",), now=now)
    submitted_by(alice, now=now, project="chem", name="apple", labels={"of": "sky"})
    submitted_by(alice, now=now, cluster="beta", name="berry", command="make cake")
    browser = browser_of(alice)

    for query, apple, berry in (
        ("", True, True),
        (f"cluster={alpha.cluster.id}", True, False),
        (f"project={bio.id}", False, True),
        ("whose=mine&label=of%3Dsky", True, False),
        ("text=CAKE", False, True),
        ("state=queued", True, True),
        ("state=running", False, False),
        ("since=1h", True, True),
    ):
        shown = text_of(browser, f"{JOBS}?{query}")
        assert (">apple<" in shown, ">berry<" in shown) == (apple, berry), query


def test_what_is_no_choice_of_the_person_is_refused(
    alpha: Any, beta: Any, alice: Operator, bob: Operator, chem: Any, now: datetime
) -> None:
    bio = project_of(bob, name="bio", at=("beta",), now=now)

    for query in (f"project={bio.id}", f"cluster={beta.cluster.id}"):
        shown = text_of(browser_of(alice), f"{JOBS}?{query}")
        assert "Select a valid choice" in shown and "bio" not in shown and "beta" not in shown


@pytest.mark.parametrize(
    "query",
    ["state=x", "cluster=x", "project=x", "whose=x", "label=x", "last=x", "text=%00", "last=-1", "text=%ff", "choose",
     *(f"{name}={'9' * digits}" for name in ("cluster", "project", "last", "text") for digits in (11, 20, 5_000))],
    ids=lambda query: query[:30] + str(len(query)),
)  # fmt: skip
def test_nothing_in_the_query_breaks_the_list(alice: Operator, chem: Any, now: datetime, query: str) -> None:
    submitted_by(alice, now=now)

    assert browser_of(alice).get(f"{JOBS}?{query}").status_code == 200


def test_a_number_leads_to_the_job(alice: Operator, bob: Operator, chem: Any, now: datetime) -> None:
    mine, his = submitted_by(alice, now=now)[0], submitted_by(bob, now=now)[0]

    assert browser_of(alice).get(f"{JOBS}?text={mine}")["Location"] == f"{JOBS}{mine}/"
    assert "No job." in text_of(browser_of(alice), f"{JOBS}?text={his}")


def test_older_pages_follow_without_a_gap(alice: Operator, chem: Any, now: datetime) -> None:
    ids = submitted_by(alice, 250, now=now)
    browser, seen, query = browser_of(alice), list[int](), ""
    while True:
        answer = browser.get(f"{JOBS}{query}")
        seen += [job.id for job in answer.context["page"].jobs]
        query = answer.context["older"]
        if not query:
            break

    assert seen == ids[::-1]


def test_a_job_tells_its_life_and_what_it_runs(alpha: Any, alice: Operator, chem: Any, now: datetime) -> None:
    job_id = submitted_by(alice, now=now, command="make cake", environment={"A": "b"}, time_limit_seconds=7200)[0]
    browser = browser_of(alice)

    waiting = text_of(browser, f"{JOBS}{job_id}/")
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="login1", now=now)
    Job.objects.filter(id=job_id).update(output="the cake is done")
    taken = text_of(browser, f"{JOBS}{job_id}/")

    for shown in ("make cake", "A=b", "Submitted", "alice", "chem", "no job is before it", "2 hours", "the web pages"):
        assert shown in waiting, shown
    assert "the cake is done" in taken and "Accepted" in taken and "no job is before it" not in taken
    assert 'href="/admin/' not in waiting and 'href="/admin/' not in taken


def test_what_is_taken_from_a_person_is_gone_with_the_next_page(
    alice: Operator, bob: Operator, chem: Any, now: datetime
) -> None:
    his, browser = submitted_by(bob, now=now)[0], browser_of(alice)
    shares(chem, now=now)
    assert browser.get(f"{JOBS}{his}/").status_code == 200

    remove_member(project_id=chem.id, person="alice", change=Change(by=None, now=now))
    assert browser.get(f"{JOBS}{his}/").status_code == 404
    User.objects.filter(id=alice.user_id).update(is_active=False)
    assert browser.get(JOBS)["Location"].startswith("/sign-in/")


def test_a_name_that_no_file_has_leads_back_to_the_job(alpha: Any, alice: Operator, chem: Any, now: datetime) -> None:
    address = f"{JOBS}{submitted_by(alice, now=now)[0]}/"

    answer = browser_of(alice).get(f"{address}file/?name=../x", follow=True)

    assert answer.redirect_chain == [(address, 302)]
    assert messages(answer) == ["No file of a job has such a name."]


# Text, and what it costs


@pytest.mark.parametrize("address", [*PAGES, f"{JOBS}?text=%3Cscript%3E", f"{JOBS}?label=%22%3E%3Cscript%3E",
                                     f"{JOBS}%3Cscript%3E/"])  # fmt: skip
def test_no_text_of_a_job_runs_or_hides(alpha: Any, alice: Operator, chem: Any, now: datetime, address: str) -> None:
    evil = {"name": EVIL, "command": f"echo {EVIL}", "environment": {"A": EVIL}, "labels": {"a": EVIL}}
    job_id = submitted_by(alice, now=now, **evil, working_directory=f"/{EVIL}")[0]
    files = {"files": [[EVIL, 1], [EVIL, 2**40]], "more": True}
    Job.objects.filter(id=job_id).update(output=EVIL, reason=EVIL, agent=EVIL, native_id=EVIL, output_files=files)

    answer = browser_of(alice).get(address.format(j=job_id))
    page = Page(answer.content.decode())

    assert answer.status_code in (200, 404)
    assert page.dangers == []
    assert not [word for word in page.words if "\u202e" in word]
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert answer.status_code == 404 or "no-store" in answer["Cache-Control"]
    if address == PAGES[1]:
        assert "\n".join(page.words).count(MARKUP) >= 7


@pytest.mark.parametrize(("address", "most"), [(JOBS, 24), (f"{JOBS}?whose=mine", 17), (f"{JOBS}{{j}}/", 17),
                                               (f"{JOBS}{{j}}/resubmit/", 12)])  # fmt: skip
def test_pages_take_few_queries_and_read_no_table_whole(
    alpha: Any, alice: Operator, bob: Operator, chem: Any, now: datetime, address: str, most: int
) -> None:
    shares(chem, now=now)
    mine = submitted_by(alice, 150, now=now)
    submitted_by(bob, 150, now=now)
    accept_jobs(caller=alpha.puller, job_ids=mine[:50], now=now)
    browser, page = browser_of(alice), address.format(j=mine[-1])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    browser.get(page)

    with CaptureQueriesContext(connection) as queries:
        assert browser.get(page).status_code == 200

    assert len(queries) <= most, "\n".join(query["sql"][:150] for query in queries)
    for query in queries:
        assert ends_at_once(query["sql"]) or not whole_reads(plan_of(query["sql"])), query["sql"]
