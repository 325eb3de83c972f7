"""Text that callers choose is shown as text: it runs no script, hides nothing, and writes no line of its own."""

from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest
from django.test import Client

from clusters.services.credentials import create_credential
from clusters.services.pause import pause_cluster
from jobs.queries.search import Search
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.actions import Action, apply_to_jobs
from jobs.services.bulk_actions import begin_bulk_action
from jobs.services.report import report_jobs
from jobs.states import ActionKind, JobState
from tests.conftest import Member
from tests.support.console import signed_in
from tests.support.queue import operator_named, submitted
from tests.support.rest import puller

MARKUP = "</pre></title></script>\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% now 'Y' %}&lt;"
ODD = "\u2028\u202egnp.exe\u2066\u200f\ufeff\ufffe\U0001f308 e\u0301 \u05d0"
EVIL = MARKUP + ODD
ROOM = ["/admin/", "/admin/clusters/cluster/", "/admin/clusters/cluster/{c}/change/", "/admin/jobs/job/",
        "/admin/jobs/job/?text=script", "/admin/jobs/job/{j}/change/", "/admin/jobs/job/act/prioritize/?id={q}",
        "/admin/jobs/job/bulk/{s}/", "/admin/jobs/job/bulk/begin/cancel/?text=%3Cscript%3E",
        "/admin/clusters/cluster/act/pause/?id={c}", "/admin/clusters/cluster/credential/{k}/rotate/",
        "/admin/clusters/cluster/?text=%22%3E%3Cscript%3E", "/admin/jobs/job/?state=%22%3E%3Cscript%3E",
        "/admin/nothing/%3Cscript%3E/"]  # fmt: skip
API = ["jobs", "jobs/{j}", "jobs/{j}/events", "clusters", "clusters/alpha", "clusters/alpha/credentials",
       "jobs?name=%3Cscript%3E", "nothing/%3Cscript%3E"]  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of a page: its text, and whatever in it could run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.dangers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.words += said.values()
        if tag in ("script", "iframe", "object", "embed", "base") and not said.get("src", "").startswith("/static/"):
            self.dangers.append(self.get_starttag_text() or "")
        self.dangers += [f"{name}={value}" for name, value in said.items() if name.startswith("on")]
        places = [said[name] for name in ("href", "src", "action", "formaction") if name in said]
        self.dangers += [place for place in places if not place.startswith(("/", "?", "#")) or place.startswith("//")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def ids(alpha: Member, now: datetime) -> dict[str, int]:
    """A job whose every field is evil, at a cluster whose agent and whose operator are evil as well."""
    ended, waiting = submitted(
        alpha, 2, now=now, name=EVIL, command=f"echo {EVIL}\n\t#", environment={"A": EVIL + "\x1b]0;\x07\x01"},
        working_directory=f"/{EVIL}", labels={"a": EVIL},
    )  # fmt: skip
    accept_jobs(caller=alpha.puller, job_ids=[ended], agent=EVIL, now=now)
    said = {"native_id": EVIL, "reason": f"{EVIL}\n", "output": f"{EVIL}\x1b[31m\0\r\n", "exit_code": 1}
    times = {
        "started_at": datetime.min.replace(tzinfo=now.tzinfo),
        "finished_at": datetime.max.replace(tzinfo=now.tzinfo),
    }
    report = Report(job_id=ended, attempt=1, state=JobState.FAILED, **said, **times)
    report_jobs(caller=alpha.puller, agent=EVIL, reports=[report], not_ready=EVIL, now=now)
    olga = operator_named("<b>olga</b>")
    apply_to_jobs(
        action=Action(kind=ActionKind.PRIORITIZE, reason=EVIL, priority=1), by=olga, job_ids=[waiting], now=now
    )
    bulk_action = begin_bulk_action(
        action=Action(kind=ActionKind.CANCEL, reason=EVIL), search=Search(text="<script>"), by=olga, now=now
    )
    pause_cluster(cluster_id=alpha.cluster.id, reason=EVIL, by=olga, now=now)
    label = EVIL[-60:]
    new = create_credential(
        cluster=alpha.cluster,
        kind=alpha.submitter.kind,
        label=label,
        by=olga,
        now=now,
        expires_at=now + timedelta(days=1),
    )
    return {"c": alpha.cluster.id, "j": ended, "q": waiting, "s": bulk_action.id, "k": new.credential.id}


@pytest.fixture
def vera(db: None) -> Client:
    client = signed_in("vera", "operators", sees_content=True, manages_credentials=True)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("address", ROOM)
def test_no_text_runs_or_hides_in_the_operators_console(ids: dict[str, int], vera: Client, address: str) -> None:
    answer = vera.get(address.format(**ids))
    page = Page(answer.content.decode())

    assert answer.status_code in (200, 404)
    assert page.dangers == []
    assert not [word for word in page.words if "\u202e" in word or "\x1b" in word]
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_job_is_shown_as_it_was_written(ids: dict[str, int], vera: Client) -> None:
    shown = "\n".join(Page(vera.get(f"/admin/jobs/job/{ids['j']}/change/").content.decode()).words)

    assert shown.count(MARKUP) >= 10
    assert "\\u202egnp.exe\\u2066" in shown
    assert "\\x1b[31m" in shown


@pytest.mark.parametrize("path", API)
def test_no_text_runs_in_the_pages_of_the_rest_api(ids: dict[str, int], vera: Client, path: str) -> None:
    answer = vera.get(f"/api/v1/{path.format(**ids)}", headers={"Accept": "text/html"})
    page = Page(answer.content.decode())

    assert answer["Content-Type"].startswith(("text/html", "application/problem+json"))
    assert not [danger for danger in page.dangers if "alert" in danger or "evil" in danger]
    assert "script-src 'self'" in answer["Content-Security-Policy"]


@pytest.mark.parametrize("path", API)
def test_json_is_never_taken_for_a_page(ids: dict[str, int], alpha: Member, path: str) -> None:
    answer = puller(alpha).get(path.format(**ids))

    assert answer["Content-Type"] in ("application/json", "application/problem+json")
    assert answer["X-Content-Type-Options"] == "nosniff"
