"""The pages of people show the clusters and pools that they may use, and no others."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.callers import Operator
from clusters.facts import Facts
from clusters.models import Cluster
from clusters.services.pause import pause_cluster
from clusters.services.projects import Change, grant_cluster, withdraw_cluster
from jobs.demo.stage import create_demo_data
from jobs.services.pools import Member, create_pool
from jobs.services.report import report_jobs
from tests.support.members import browser_of, project_of, submitted_by
from tests.test_hostile_text import EVIL, Page

CLUSTERS = "/my/clusters/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def text_of(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_a_person_sees_what_their_projects_may_use_and_through_which(
    alpha: Any, beta: Any, mallory: Any, alice: Operator, now: datetime
) -> None:
    project_of(alice, name="chem", at=("alpha",), now=now)
    project_of(alice, name="bio", at=("alpha", "beta"), now=now)
    submitted_by(alice, 3, project="bio", now=now)

    rows = browser_of(alice).get(CLUSTERS).context["rows"]

    shown = [(one.cluster.name, one.queued, projects) for one, _, projects in rows]
    assert shown == [("alpha", 3, ["bio", "chem"]), ("beta", 0, ["bio"])]
    assert "alpha has never asked for jobs" in text_of(browser_of(alice), CLUSTERS)


def test_a_clusters_page_says_whether_it_is_there_and_what_it_has(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    report_jobs(caller=alpha.puller, agent="a", reports=[], facts=Facts(values={"site": "geneva"}), now=now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="a leak", by=None, now=now)
    submitted_by(alice, 2, now=now)

    shown = text_of(browser_of(alice), f"{CLUSTERS}alpha/")

    for text in ("geneva", "alpha is paused: a leak", "chem", "Last hour: 2 submitted", f"?cluster={alpha.cluster.id}"):
        assert text in shown, text
    assert 'href="/admin/' not in shown


def test_a_pools_page_lists_its_clusters(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    members = [Member(cluster="beta", after_seconds=0), Member(cluster="alpha", after_seconds=300)]
    create_pool(name="both", members=members, by=None, reason="", now=now)
    project_of(alice, at=("both",), now=now)
    browser = browser_of(alice)

    shown = text_of(browser, f"{CLUSTERS}both/")

    assert shown.index("beta") < shown.index("alpha") and "after 5 minutes" in shown
    assert ["pool" in text_of(browser, CLUSTERS), browser.get(f"{CLUSTERS}alpha/").status_code] == [True, 404]


@pytest.mark.parametrize("name", ["beta", "none", "%00", "x" * 3_000])
def test_what_is_out_of_reach_is_not_there(alpha: Any, beta: Any, alice: Operator, now: datetime, name: str) -> None:
    project_of(alice, now=now)

    assert browser_of(alice).get(f"{CLUSTERS}{name}/").status_code == 404


def test_a_grant_that_is_withdrawn_is_gone_with_the_next_page(alpha: Any, alice: Operator, now: datetime) -> None:
    chem, browser = project_of(alice, now=now), browser_of(alice)
    assert browser.get(f"{CLUSTERS}alpha/").status_code == 200

    withdraw_cluster(project_id=chem.id, cluster="alpha", change=Change(by=None, now=now))

    assert browser.get(f"{CLUSTERS}alpha/").status_code == 404
    assert "may use no cluster" in text_of(browser, CLUSTERS)


@pytest.mark.parametrize("address", [CLUSTERS, f"{CLUSTERS}alpha/"])
def test_strangers_are_asked_to_sign_in(alpha: Any, address: str) -> None:
    assert Client().get(address)["Location"] == f"/sign-in/?next={address}"


@pytest.mark.parametrize("address", [CLUSTERS, f"{CLUSTERS}alpha/"])
def test_nothing_that_an_agent_says_is_trusted(alpha: Any, alice: Operator, now: datetime, address: str) -> None:
    project_of(alice, now=now)
    facts = Facts(values={"site": EVIL[:200]})
    report_jobs(caller=alpha.puller, agent=EVIL, reports=[], facts=facts, not_ready=EVIL, now=now)

    page = Page(text_of(browser_of(alice), address))

    assert page.dangers == []
    assert not [word for word in page.words if "\u202e" in word]


@pytest.mark.parametrize(("address", "most"), [(CLUSTERS, 12), (f"{CLUSTERS}{{c}}/", 20), (f"{CLUSTERS}{{p}}/", 15)])
def test_pages_take_few_queries_in_a_large_fleet(alice: Operator, now: datetime, address: str, most: int) -> None:
    create_demo_data(clusters=30, jobs=1_500, now=now)
    project = project_of(alice, at=(), now=now)
    for name in Cluster.objects.values_list("name", flat=True):
        grant_cluster(project_id=project.id, cluster=name, change=Change(by=None, now=now))
    page = address.format(c="keebler", p=Cluster.objects.get(pool=True).name)
    browser = browser_of(alice)
    browser.get(page)

    with CaptureQueriesContext(connection) as queries:
        assert browser.get(page).status_code == 200

    assert len(queries) <= most, "\n".join(query["sql"][:150] for query in queries)
    assert not [query for query in queries if "COUNT(" in query["sql"]]
