"""Groups of jobs in the operators' console and on the pages of people: what they see, and who may cancel one."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.callers import Operator
from clusters.services.of_people import caller_of_person
from jobs.models import Job, JobGroup
from jobs.services.accept import accept_jobs
from jobs.services.group_steps import step_group
from jobs.states import JobState
from tests.support.console import signed_in
from tests.support.members import browser_of, shares
from tests.test_console_plans import ends_at_once, plan_of, whole_reads
from tests.test_groups import new_group, report
from tests.test_hostile_text import EVIL, Page

CONSOLE, MY = "/admin/jobs/job/groups/", "/my/groups/"
JOBS = {CONSOLE: "/admin/jobs/job/", MY: "/my/jobs/"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def of(alpha: Any, now: datetime) -> Any:
    """Makes a group of a person, one of whose members failed."""

    def made(who: Operator, members: int, now: datetime, **wish: Any) -> int:
        group, ids = new_group(caller_of_person(who.user_id, cluster="alpha"), members, now, **wish)
        step_group(group_id=group, now=now)
        accept_jobs(caller=alpha.puller, job_ids=ids[:1], agent="a", now=now)
        report(alpha.puller, ids[:1], JobState.FAILED, now, reason="out of memory", exit_code=1)
        return group

    return made


def viewer_of(root: str, who: Operator) -> Client:
    return browser_of(who) if root == MY else signed_in("olga", "operators")


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


@pytest.mark.parametrize("root", [CONSOLE, MY])
def test_a_group_has_its_counts_and_leads_to_its_members(
    alice: Operator, chem: Any, of: Any, now: datetime, root: str
) -> None:
    group = of(alice, 3, now, name="sweep", at_once=2, stop_after_failures=7)
    other = of(alice, 1, now, name="lone")
    browser = viewer_of(root, alice)

    listed, shown = text_of(browser, root), text_of(browser, f"{root}{group}/")

    assert f'href="{root}{group}/"' in listed and "sweep" in listed and listed.index("lone") < listed.index("sweep")
    for said in ("up to 2", "after 7 failures", "33 % over", "out of memory", f"{root}{group}/cancel/"):
        assert said in shown, said
    members = f"{JOBS[root]}?state=failed&group={group}"
    assert members.replace("&", "&amp;") in shown
    (failed,) = browser.get(members).context["page"].jobs
    assert failed.group == group
    job = f"{JOBS[root]}{failed.id}/{'' if root == MY else 'change/'}"
    assert f'href="{root}{group}/"' in text_of(browser, job)
    assert len(browser.get(f"{JOBS[root]}?group={other}").context["page"].jobs) == 1


@pytest.mark.parametrize("root", [CONSOLE, MY])
def test_a_group_is_cancelled_with_a_reason(alice: Operator, chem: Any, of: Any, now: datetime, root: str) -> None:
    group, browser = of(alice, 3, now), viewer_of(root, alice)
    page = f"{root}{group}/cancel/"

    assert "No, go back" in text_of(browser, page)
    assert JobGroup.objects.get().stopped_at is None
    done = browser.post(page, {"reason": "wrong input"}, follow=True)
    while step_group(group_id=group, now=now):
        pass

    shown = done.content.decode()
    assert "The group is being cancelled." in shown and "wrong input" in shown
    assert sorted(Job.objects.values_list("state", flat=True)) == ["cancelled", "cancelled", "failed"]
    assert "Cancel…" not in text_of(browser, f"{root}{group}/")
    assert "It is finished already" in text_of(browser, page)
    assert "finished already" in browser.post(page, {"reason": "again"}, follow=True).content.decode()
    assert "No group." in text_of(browser, f"{root}?going=1")


def test_an_operator_says_why(alice: Operator, chem: Any, of: Any, now: datetime) -> None:
    group = of(alice, 1, now)

    assert "This field is required" in viewer_of(CONSOLE, alice).post(f"{CONSOLE}{group}/cancel/").content.decode()
    assert JobGroup.objects.get().stopped_at is None


def test_a_viewer_sees_groups_and_may_not_cancel(alice: Operator, chem: Any, of: Any, now: datetime) -> None:
    group, viewer = of(alice, 2, now, name="sweep"), signed_in("victor", "viewers")

    shown = text_of(viewer, f"{CONSOLE}{group}/")

    assert "sweep" in text_of(viewer, CONSOLE)
    assert "sweep" in shown and "/cancel/" not in shown
    for method in (viewer.get, viewer.post):
        assert method(f"{CONSOLE}{group}/cancel/", {"reason": "x"}).status_code == 403
    for page in (CONSOLE, f"{CONSOLE}{group}/"):
        assert signed_in(f"nina{len(page)}").get(page).status_code == 403


def test_another_persons_group_is_not_there(alice: Operator, bob: Operator, chem: Any, of: Any, now: datetime) -> None:
    group, browser = of(bob, 2, now), browser_of(alice)

    for id in (group, group + 1, 9**20):
        assert browser.get(f"{MY}{id}/").status_code == 404
        assert browser.get(f"{MY}{id}/cancel/").status_code == 404
        assert browser.post(f"{MY}{id}/cancel/").status_code == 404
    assert "No group." in text_of(browser, MY)
    assert browser.get(f"/my/jobs/?group={group}").context["page"].jobs == []
    assert JobGroup.objects.get().stopped_at is None
    assert signed_in("olga", "operators").get(f"{CONSOLE}{9**20}/").status_code == 404


def test_a_project_that_shares_shows_groups_that_one_may_not_cancel(
    alice: Operator, bob: Operator, chem: Any, of: Any, now: datetime
) -> None:
    group, browser = of(bob, 2, now), browser_of(alice)
    shares(chem, now=now)

    assert "Cancel…" not in text_of(browser, f"{MY}{group}/")
    assert browser.post(f"{MY}{group}/cancel/").status_code == 404
    assert JobGroup.objects.get().stopped_at is None


@pytest.mark.parametrize("root", [CONSOLE, MY])
def test_older_groups_follow_without_a_gap(
    alpha: Any, alice: Operator, chem: Any, of: Any, now: datetime, root: str
) -> None:
    said = {"cluster": alpha.cluster, "owner_id": alice.user_id, "project": chem, "made_at": now, "added_at": now}
    groups = [JobGroup.objects.create(**said, open=True).id for _ in range(205)]
    browser, seen, query = viewer_of(root, alice), list[int](), "?going=1"
    while query:
        answer = browser.get(f"{root}{query}")
        seen += [group.id for group, _, _ in answer.context["rows"]]
        query = answer.context["older"]

    assert seen == groups[::-1]


@pytest.mark.parametrize("root", [CONSOLE, MY])
@pytest.mark.parametrize("query", ["last=x", "last=-1", f"last={'9' * 20}", f"last={'9' * 5_000}", "going", "last=%00"])
def test_nothing_in_the_query_breaks_the_lists(
    alice: Operator, chem: Any, of: Any, now: datetime, root: str, query: str
) -> None:
    of(alice, 1, now)
    browser = viewer_of(root, alice)

    assert browser.get(f"{root}?{query}").status_code == 200
    for group in ("x", "0", "-1", "9" * 11, "9" * 5_000, "%00", "%C2%B2"):
        assert browser.get(f"{JOBS[root]}?group={group}").status_code == 200


@pytest.mark.parametrize("root", [CONSOLE, MY])
@pytest.mark.parametrize("page", ["", "{g}/", "{g}/cancel/"])
def test_no_text_of_a_group_runs_or_hides(
    alice: Operator, chem: Any, of: Any, now: datetime, root: str, page: str
) -> None:
    group = of(alice, 2, now)
    JobGroup.objects.update(name=EVIL, why=EVIL, stopped_at=now)
    Job.objects.update(name=EVIL, reason=EVIL)

    shown = Page(text_of(viewer_of(root, alice), f"{root}{page.format(g=group)}"))

    assert shown.dangers == []
    assert not [word for word in shown.words if "\u202e" in word]


@pytest.mark.parametrize("root", [CONSOLE, MY])
@pytest.mark.parametrize(("page", "most"), [("", 14), ("?going=1", 14), ("{g}/", 16), ("{g}/cancel/", 16)])
def test_pages_take_few_queries_and_read_no_table_whole(
    alice: Operator, chem: Any, of: Any, now: datetime, root: str, page: str, most: int
) -> None:
    groups = [of(alice, 20, now) for _ in range(30)]
    browser, address = viewer_of(root, alice), f"{root}{page.format(g=groups[-1])}"
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    browser.get(address)

    with CaptureQueriesContext(connection) as queries:
        assert browser.get(address).status_code == 200

    assert len(queries) <= most, "\n".join(query["sql"][:150] for query in queries)
    for query in queries:
        assert ends_at_once(query["sql"]) or not whole_reads(plan_of(query["sql"])), query["sql"]
