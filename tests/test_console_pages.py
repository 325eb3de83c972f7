"""What the console's pages show, for any input, in the same few queries however much there is."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.callers import Operator
from clusters.models import Cluster, Credential, CredentialKind
from jobs.demo.stage import create_demo_data
from jobs.models import Job
from jobs.queries import lookup
from jobs.queries.cluster_tokens import MOST_ENDED
from jobs.queries.search import Search
from jobs.services import output_parts
from jobs.services.output_parts import Readers
from tests.support.console import signed_in
from tests.support.queue import submitted

JOBS = "/admin/jobs/job/"


@pytest.fixture
def vera(db: None) -> Client:
    return signed_in("vera", "operators", sees_content=True)


def text_of(client: Client, page: str) -> str:
    return client.get(page).content.decode()


def test_the_dashboard_says_what_is_wrong(alpha: Any, vera: Client) -> None:
    submitted(alpha, 3, now=timezone.now())

    shown = text_of(vera, "/admin/")

    assert "alpha is silent: its agent has never asked, and 3 jobs wait" in shown
    assert f"{JOBS}?state=queued&amp;cluster={alpha.cluster.id}" in shown
    assert "Last hour: 3 submitted, 0 started, 0 ended, of which 0 failed" in shown


def test_a_number_leads_to_the_job(alpha: Any, vera: Client, now: datetime) -> None:
    ids = submitted(alpha, now=now)

    assert vera.get(f"{JOBS}?text={ids[0]}")["Location"] == f"{JOBS}{ids[0]}/change/"
    assert "No job." in text_of(vera, f"{JOBS}?text=987654")


def test_filters_narrow_the_list(alpha: Any, beta: Any, vera: Client, now: datetime) -> None:
    submitted(alpha, now=now, name="apple", labels={"project": "sky"})
    submitted(beta, now=now, name="berry", command="make cake")

    for query, apple, berry in (
        (f"cluster={alpha.cluster.id}", True, False),
        (f"cluster={beta.cluster.id}&token={beta.submitter.credential_id}", False, True),
        ("label=project%3Dsky", True, False),
        ("text=CAKE", False, True),
        ("state=queued", True, True),
        ("state=running", False, False),
        ("since=24h", False, False),
    ):
        shown = text_of(vera, f"{JOBS}?{query}")
        assert (">apple<" in shown, ">berry<" in shown) == (apple, berry), query


def revoked_tokens(cluster: Cluster, number: int, *, now: datetime) -> list[Credential]:
    said: dict[str, Any] = {"cluster": cluster, "kind": CredentialKind.TOKEN, "created_at": now, "revoked_at": now}
    tokens = (Credential(label=f"t{place}", digest=f"{place:064}", **said) for place in range(number))
    return Credential.objects.bulk_create(tokens)


def options_of(page: str) -> list[str]:
    """Of the tokens, as they read."""
    select = page[page.index('<select name="token"') :]
    return re.findall(r"<option[^>]*>([^<]*)", select[: select.index("</select>")])


def test_of_tokens_that_no_longer_work_only_the_newest_are_offered(alpha: Any, vera: Client, now: datetime) -> None:
    revoked_tokens(alpha.cluster, MOST_ENDED + 10, now=now)
    Credential.objects.create(
        cluster=alpha.cluster, kind=CredentialKind.TOKEN, label="ci", digest="x", created_at=now, expires_at=now
    )

    options = options_of(text_of(vera, f"{JOBS}?cluster={alpha.cluster.id}"))

    assert options[:3] == ["any", f"token ci, expired {now:%Y-%m-%d}", "token default"]
    assert len(options) == 2 + MOST_ENDED
    assert f"token t11, revoked {now:%Y-%m-%d}" in options
    assert f"token t10, revoked {now:%Y-%m-%d}" not in options


def test_a_link_with_a_token_that_is_not_offered_finds_its_jobs(alpha: Any, vera: Client, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now, name="apple")
    oldest, *_ = revoked_tokens(alpha.cluster, MOST_ENDED + 1, now=now)
    Job.objects.filter(id=job_id).update(submitted_by=oldest)

    shown = text_of(vera, f"{JOBS}?cluster={alpha.cluster.id}&token={oldest.id}")

    assert ">apple<" in shown
    assert f'<option value="{oldest.id}" selected>token t0, revoked {now:%Y-%m-%d}</option>' in shown
    assert len(options_of(shown)) == 2 + MOST_ENDED + 1


@pytest.mark.parametrize(
    "query",
    ["state=x", "cluster=x", "cluster=0", "cluster=9" * 3, "token=1", "since=x", "label=x", "label=%00=%00", "last=x",
     "text=%00", "text=" + "x" * 300, "last=-1", "last=99999999999999", "text=99999999999999", "label=a%3D%01",
     "cluster=1&token=x", "text=%ff", "text='--", "text=%25_", "text=%E2%92%BA", "cluster=%C2%B2",
     *(f"{name}={'9' * digits}" for name in ("id", "cluster", "token", "last", "text") for digits in (11, 20, 5_000))],
    ids=lambda query: query[:30] + str(len(query)),
)  # fmt: skip
def test_nothing_in_the_query_breaks_a_page(alpha: Any, vera: Client, now: datetime, query: str) -> None:
    submitted(alpha, now=now)

    pages = ("bulk/begin/cancel/", "act/cancel/", "9" * 20 + "/change/")
    clusters = ("", "act/pause/", "9" * 20 + "/change/")
    for page in (JOBS, *(JOBS + page for page in pages), *(f"/admin/clusters/cluster/{page}" for page in clusters)):
        assert vera.get(f"{page}?{query}").status_code in (200, 302, 403, 404)


def test_a_job_tells_its_life(alpha: Any, vera: Client, now: datetime) -> None:
    said = {"command": "echo <script>alert(1)</script>", "environment": {"A": "b"}, "time_limit_seconds": 7200}
    ids = submitted(alpha, now=now, **said)

    shown = text_of(vera, f"{JOBS}{ids[0]}/change/")

    assert "Submitted" in shown and "no job is before it" in shown and "token default" in shown
    assert "echo &lt;script&gt;" in shown and "A=b" in shown
    assert '<span title="7,200 s">2 hours</span>' in shown


@pytest.mark.parametrize(
    "page", ["jobs/job/0", "jobs/job/x", "jobs/job/99999999999", "clusters/cluster/7", "jobs/job/bulk/1"]
)
def test_what_is_not_there_is_404(vera: Client, page: str) -> None:
    end = "/" if "bulk" in page else "/change/"
    assert vera.get(f"/admin/{page}{end}").status_code == 404


def test_a_page_that_is_not_there_says_so_and_leads_back(vera: Client) -> None:
    answer = vera.get("/admin/nothing/<b>/")
    text = answer.content.decode()

    assert answer.status_code == 404
    assert "There is nothing at /admin/nothing/&lt;b&gt;/" in text
    assert "<title>Not found · rainbow</title>" in text
    assert 'href="/admin/jobs/job/"' in text and "vera" in text


def test_older_pages_follow_without_a_gap(alpha: Any, vera: Client, now: datetime) -> None:
    ids = submitted(alpha, 250, now=now)
    seen: list[int] = []
    query = ""
    while True:
        answer = vera.get(f"{JOBS}{query}")
        seen += [job.id for job in answer.context["page"].jobs]
        query = answer.context["older"]
        if not query:
            break

    assert seen == ids[::-1]


PAGES = {
    "/admin/": 18,
    "/admin/clusters/cluster/": 11,
    "/admin/clusters/cluster/{c}/change/": 28,
    "/admin/clusters/cluster/{p}/change/": 28,
    JOBS: 19,
    f"{JOBS}?state=failed": 8,
    f"{JOBS}?text=plot": 29,
    f"{JOBS}{{j}}/change/": 13,
}


@pytest.mark.parametrize("address", PAGES)
def test_pages_take_as_many_queries_for_a_small_fleet_as_for_a_large_one(vera: Client, address: str) -> None:
    create_demo_data(clusters=30, jobs=1_500, now=timezone.now())
    job = Job.objects.filter(cluster__pool=False).latest("id")
    ids = {"c": job.cluster_id, "j": job.id, "p": Cluster.objects.get(pool=True).id}
    vera.get(address.format(**ids))

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert vera.get(address.format(**ids)).status_code == 200

    assert len(queries) <= PAGES[address], "\n".join(query["sql"][:150] for query in queries)
    assert not [query for query in queries if counts_all(query["sql"])]


def counts_all(statement: str) -> bool:
    """Neither the first so many, nor those of a page by their ids."""
    return "COUNT(" in statement and "FROM (" not in statement and "WHERE j.id IN (" not in statement


def test_pages_run_no_inline_script(alpha: Any, vera: Client, now: datetime) -> None:
    ids = submitted(alpha, now=now)

    for page in ("/admin/", JOBS, f"{JOBS}{ids[0]}/change/", "/admin/clusters/cluster/"):
        shown = text_of(vera, page)
        assert "<script>" not in shown and " style=" not in shown and " onclick" not in shown


@pytest.mark.parametrize("pages_left", [0, 1])
def test_a_page_all_of_whose_jobs_are_deleted_while_it_is_made_is_the_next_one(
    alpha: Any, vera: Client, now: datetime, monkeypatch: pytest.MonkeyPatch, pages_left: int
) -> None:
    ids = submitted(alpha, 2 + pages_left, now=now)
    find_ids, found = lookup.find_ids, list[Any]()

    def then_gone(**asked: Any) -> Any:
        found.append(find_ids(**asked))
        if len(found) == 1:
            Job.objects.filter(id__in=found[0].ids).delete()
        return found[-1]

    monkeypatch.setattr(lookup, "find_ids", then_gone)
    page = lookup.list_jobs(by=Operator(user_id=0, name=""), search=Search(size=2))

    assert [job.id for job in page.jobs] == ids[:pages_left]
    assert not page.more


def test_jobs_that_are_deleted_while_a_page_is_made_are_no_reason_for_another_page(
    alpha: Any, vera: Client, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = submitted(alpha, 2, now=now)
    find_ids = lookup.find_ids

    def then_one_gone(**asked: Any) -> Any:
        found = find_ids(**asked)
        Job.objects.filter(id=ids[0]).delete()
        return found

    monkeypatch.setattr(lookup, "find_ids", then_one_gone)

    assert [job.id for job in vera.get(JOBS).context["page"].jobs] == ids[1:]
    assert "Older" not in text_of(vera, JOBS)


def test_the_page_of_a_job_that_waits_or_whose_readers_are_many_looks_for_its_output_soon(
    alpha: Any, vera: Client, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = submitted(alpha, now=now)
    output = f"{JOBS}{job_id}/output/"

    assert f'data-output="{output}"' in text_of(vera, f"{JOBS}{job_id}/change/")
    answer = vera.get(output)
    assert (answer.status_code, answer["Retry-After"]) == (204, "5")
    monkeypatch.setattr(output_parts, "_READERS", Readers(at_once=0, waiting=0, seconds=0))
    answer = vera.get(output)
    assert (answer.status_code, answer["Retry-After"]) == (204, "2")

    Job.objects.filter(id=job_id).update(state="cancelled", finished_at=now)
    assert "data-output" not in text_of(vera, f"{JOBS}{job_id}/change/")
