"""Webhooks of projects on the pages of those who lead them, and in the operators' console."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from jobs.models import Webhook, WebhookMessage
from jobs.services.webhooks import MAX_OF_PROJECT, make_webhook
from tests.support.console import signed_in
from tests.support.members import browser_of, project_of
from tests.test_hostile_text import EVIL, Page
from tests.test_my_jobs import messages, text_of

URL = "https://hooks.example.org/rainbow"

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def chem(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> Any:
    return project_of(bob, lead=alice, now=now)


@pytest.fixture(params=["my", "console"])
def whose(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def browser(whose: str, alice: Operator, chem: Any) -> Client:
    if whose == "my":
        return browser_of(alice)
    return signed_in("olga", permissions=("view_project", "change_project"))


def pages(whose: str, project: Any) -> tuple[str, str, str]:
    """The list, the page that makes one, and what those of one begin with."""
    if whose == "my":
        root = f"/my/projects/{project.name}/webhooks/"
        return root, f"{root}new/", root
    root = "/admin/jobs/webhook/"
    return f"{root}?project={project.id}", f"{root}new/{project.id}/", root


def made(project: Any, now: datetime, **said: Any) -> Webhook:
    return make_webhook(project_id=project.id, **{"url": URL, "events": [], "now": now, **said})


def test_one_is_made_and_its_secret_shown_once(browser: Client, whose: str, chem: Any) -> None:
    listed, new, _ = pages(whose, chem)
    project_page = "/my/projects/chem/" if whose == "my" else f"/admin/clusters/project/{chem.id}/change/"

    assert f'href="{listed}"' in text_of(browser, project_page)
    assert "once and never again" in text_of(browser, new)
    answer = browser.post(new, {"url": URL, "events": ["job.ended", "group.finished"], "reason": "for the board"})

    webhook = Webhook.objects.get()
    assert (webhook.project_id, webhook.url, webhook.events) == (chem.id, URL, ["job.ended", "group.finished"])
    assert webhook.secret in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    shown = text_of(browser, listed)
    assert URL in shown and "a job ended, all members of a group ended" in shown
    assert webhook.secret not in shown
    log = list(LogEntry.objects.values_list("change_message", flat=True))
    assert log == ([] if whose == "my" else [f"made webhook {webhook.id} of chem: for the board"])


def test_none_chosen_is_all_and_a_url_that_will_not_do_is_told(browser: Client, whose: str, chem: Any) -> None:
    _, new, _ = pages(whose, chem)

    for url in ("", "ftp://a.example/", "https://me:pw@a.example/", "https://", "x" * 5_000, "https://a.example/\0"):
        answer = browser.post(new, {"url": url, "reason": "x"})
        assert answer.context["form"].errors.keys() == {"url"}, url
    wrong = browser.post(new, {"url": URL, "events": ["job.began"], "reason": "x"})
    assert wrong.context["form"].errors.keys() == {"events"}
    assert not Webhook.objects.exists()

    browser.post(new, {"url": URL, "reason": "x"})
    assert len(Webhook.objects.get().events) == 3


def test_a_project_has_a_bounded_number(browser: Client, whose: str, chem: Any, now: datetime) -> None:
    for _ in range(MAX_OF_PROJECT):
        made(chem, now)

    answer = browser.post(pages(whose, chem)[1], {"url": URL, "reason": "x"})

    assert f"at most {MAX_OF_PROJECT} webhooks" in answer.content.decode()
    assert Webhook.objects.count() == MAX_OF_PROJECT


def test_what_waits_and_what_fails_is_shown_and_it_is_switched_on_again(
    browser: Client, whose: str, chem: Any, now: datetime
) -> None:
    listed, _, root = pages(whose, chem)
    fails, off = made(chem, now), made(chem, now)
    said = {"failing_since": now - timedelta(hours=1), "failures": 7, "last_failure": "it answered 503"}
    Webhook.objects.filter(id=fails.id).update(**said, next_at=now + timedelta(minutes=5))
    Webhook.objects.filter(id=off.id).update(off_at=now, off_reason="its receiver answered that it is gone (410)")
    WebhookMessage.objects.create(webhook=fails, uid="1", at=now - timedelta(minutes=3), body="{}")

    shown = re.sub(r"<[^>]*>", "", text_of(browser, listed))
    assert "7 times: it answered 503; the next try is" in shown
    assert "its receiver answered that it is gone (410)" in shown
    assert "1, the oldest 3 minutes ago" in shown
    assert browser.get(f"{root}{off.id}/resume/").status_code == 302
    assert Webhook.objects.get(id=off.id).off_at is not None
    answers = [browser.post(f"{root}{one.id}/resume/", follow=True) for one in (off, fails)]

    assert messages(answers[0]) == [f"Webhook {off.id} is on."]
    assert not Webhook.objects.exclude(off_at=None, failing_since=None, next_at=None).exists()


def test_one_is_removed_after_a_question(browser: Client, whose: str, chem: Any, now: datetime) -> None:
    webhook = made(chem, now)
    page = f"{pages(whose, chem)[2]}{webhook.id}/remove/"

    assert "No, go back" in text_of(browser, page)
    assert Webhook.objects.exists()
    done = browser.post(page, {"reason": "moved"}, follow=True)

    assert messages(done) == [f"Webhook {webhook.id} is removed."]
    assert not Webhook.objects.exists()


def test_another_sites_page_changes_nothing(browser: Client, whose: str, chem: Any, now: datetime) -> None:
    webhook, client = made(chem, now), Client(enforce_csrf_checks=True)
    Webhook.objects.update(off_at=now)
    client.cookies = browser.cookies
    _, new, root = pages(whose, chem)

    for page in (new, f"{root}{webhook.id}/remove/", f"{root}{webhook.id}/resume/"):
        assert client.post(page, {"url": URL, "reason": "x"}).status_code == 403

    assert Webhook.objects.get().off_at == now


def test_a_member_who_does_not_lead_and_a_stranger_see_none(
    bob: Operator, alice: Operator, chem: Any, now: datetime
) -> None:
    webhook, bio = made(chem, now), project_of(lead=alice, name="bio", now=now)
    other = f"/my/projects/{bio.name}/webhooks/"
    root, member, stranger = "/my/projects/chem/webhooks/", browser_of(bob), browser_of(alice)

    for page in (root, f"{root}new/", f"{root}{webhook.id}/remove/", f"{root}{webhook.id}/resume/"):
        assert member.get(page).status_code == 403
    assert "webhooks/" not in text_of(member, "/my/projects/chem/")
    for id in (webhook.id, webhook.id + 1, 9**20):
        for verb in ("remove", "resume"):
            assert stranger.post(f"{other}{id}/{verb}/").status_code == 404
    assert member.get(other).status_code == 404
    assert Webhook.objects.count() == 1


def test_an_operator_without_the_permission_for_projects_sees_none(chem: Any, now: datetime) -> None:
    webhook, browser = made(chem, now), signed_in("olga", "operators")
    root = "/admin/jobs/webhook/"

    for page in (root, f"{root}new/{chem.id}/", f"{root}{webhook.id}/remove/", f"{root}{webhook.id}/resume/"):
        assert (browser.get(page).status_code, browser.post(page, {"reason": "x"}).status_code) == (403, 403)
    assert "jobs/webhook" not in text_of(browser, f"/admin/clusters/project/{chem.id}/change/")
    assert Webhook.objects.count() == 1


def test_the_list_of_all_leads_to_projects(chem: Any, alice: Operator, now: datetime) -> None:
    browser = signed_in("olga", permissions=("view_project", "change_project"))
    first, second = made(chem, now), made(project_of(lead=alice, name="bio", now=now), now)

    shown = text_of(browser, "/admin/jobs/webhook/")

    for webhook in (first, second):
        assert f'href="/admin/clusters/project/{webhook.project_id}/change/"' in shown
    assert (
        browser.get(f"/admin/jobs/webhook/{first.id}/change/")["Location"] == f"/admin/jobs/webhook/?project={chem.id}"
    )
    assert browser.get("/admin/jobs/webhook/?project=x%00").status_code == 200


def test_no_text_of_a_webhook_runs_or_hides(browser: Client, whose: str, chem: Any, now: datetime) -> None:
    webhook = made(chem, now)
    Webhook.objects.update(url=EVIL, off_at=now, off_reason=EVIL)
    listed, new, root = pages(whose, chem)

    for page in (listed, new, f"{root}{webhook.id}/remove/"):
        shown = Page(text_of(browser, page))
        assert shown.dangers == []
        assert not [word for word in shown.words if "\u202e" in word]
