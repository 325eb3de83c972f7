"""Operators make and change pools in the console."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Cluster, Credential
from clusters.services.streaks import End, note_ends
from jobs.models import Job
from jobs.services.pools import Member, members_of
from tests.support.console import signed_in
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted

CLUSTERS = "/admin/clusters/cluster/"
NEW = f"{CLUSTERS}pool/new/"


@pytest.fixture
def olaf(db: None) -> Client:
    return signed_in("olaf", "operators", manages_credentials=True)


@pytest.fixture
def pool(alpha: Any, beta: Any, now: datetime) -> Pool:
    return pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)


def rows(*sent: dict[str, Any], initial: int = 0, **further: Any) -> dict[str, Any]:
    """What the form sends with these rows."""
    numbered = {f"form-{number}-{name}": value for number, row in enumerate(sent) for name, value in row.items()}
    return {"form-TOTAL_FORMS": len(sent), "form-INITIAL_FORMS": initial, **numbered, **further}


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def text_of(client: Client, page: str) -> str:
    return client.get(page).content.decode()


def test_a_pool_is_made_and_its_token_shown_once(alpha: Any, beta: Any, olaf: Client) -> None:
    sent = rows({"cluster": "alpha", "ORDER": 2}, {"cluster": "beta", "after_seconds": 30, "ORDER": 1}, {"cluster": ""})

    answer = olaf.post(NEW, {"name": "big", "reason": "for all", **sent})

    made = Cluster.objects.get(name="big")
    assert members_of(made) == [Member(cluster="beta", after_seconds=30), Member(cluster="alpha")]
    assert "rbt_" in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert Credential.objects.get(cluster=made).issued_by.username == "olaf"
    assert "rbt_" not in text_of(olaf, f"{CLUSTERS}{made.id}/change/")


def test_what_is_refused_is_told_and_what_was_typed_stays(alpha: Any, olaf: Client) -> None:
    answer = olaf.post(NEW, {"name": "big", "reason": "why", **rows({"cluster": "gamma", "ORDER": 1})})

    assert messages(answer) == ["members: there is no cluster 'gamma'"]
    assert 'value="gamma"' in answer.content.decode()
    assert not Cluster.objects.filter(pool=True).exists()


def test_a_wrong_delay_is_told_beside_it(alpha: Any, olaf: Client) -> None:
    sent = rows({"cluster": "alpha", "after_seconds": 86_401, "ORDER": 1})

    shown = olaf.post(NEW, {"name": "big", "reason": "why", **sent}).content.decode()

    assert "less than or equal to 86400" in shown


@pytest.mark.parametrize("broken", [{"form-TOTAL_FORMS": "x"}, {"form-TOTAL_FORMS": "9" * 9}, {}])
def test_a_form_that_no_page_sends_breaks_nothing(alpha: Any, olaf: Client, broken: dict[str, str]) -> None:
    for more in ({}, {"more": "1"}):
        answer = olaf.post(NEW, {"name": "big", "reason": "why", **broken, **more})

        assert answer.status_code == 200
    assert not Cluster.objects.filter(pool=True).exists()


def test_more_rows_keep_what_was_typed_and_do_nothing(alpha: Any, olaf: Client) -> None:
    answer = olaf.post(NEW, {"name": "big", "more": "1", **rows({"cluster": "alpha", "ORDER": 1})})
    shown = answer.content.decode()

    assert 'value="alpha"' in shown and 'value="big"' in shown
    assert shown.count('list="clusters"') == 6
    assert "This field is required" not in shown
    assert not Cluster.objects.filter(pool=True).exists()


def test_members_are_changed(pool: Pool, mallory: Any, olaf: Client) -> None:
    page = f"{CLUSTERS}{pool.cluster.id}/members/"
    assert 'value="beta"' in text_of(olaf, page) and 'value="60"' in text_of(olaf, page)
    sent = rows(
        {"cluster": "", "ORDER": 1},
        {"cluster": "beta", "after_seconds": "", "ORDER": 2},
        {"cluster": "mallory", "after_seconds": 5, "ORDER": ""},
        initial=2,
    )

    answer = olaf.post(page, {"reason": "a new machine", **sent}, follow=True)

    assert messages(answer) == ["big is changed."]
    assert members_of(pool.cluster) == [Member(cluster="beta"), Member(cluster="mallory", after_seconds=5)]
    assert "added mallory after 5 s; removed alpha; beta after 0 s, not 60 s: a new machine" in answer.content.decode()


def test_the_page_of_a_pool_shows_its_clusters_and_what_waits(pool: Pool, beta: Any, olaf: Client) -> None:
    submitted(pool, name="apple", now=timezone.now())
    Cluster.objects.filter(id=beta.cluster.id).update(paused_at=timezone.now(), paused_reason="a leak")

    shown = text_of(olaf, f"{CLUSTERS}{pool.cluster.id}/change/")

    assert ">alpha</a>" in shown and ">beta</a>" in shown and "a leak" in shown
    assert "1 minute" in shown and "apple" in shown
    assert "No cluster of big takes jobs, and 1 job wait" in shown
    assert "For jobs of at most" not in shown
    assert f"{CLUSTERS}{pool.cluster.id}/members/" in shown


def test_the_page_of_a_pool_shows_which_of_its_tokens_a_cluster_holds_back(
    pool: Pool, alpha: Any, olaf: Client, now: datetime
) -> None:
    end = End(credential_id=pool.submitter.credential_id, at_once=True, reason="no such file")
    note_ends(cluster_id=alpha.cluster.id, ends=[end, end], hold_after=2, now=now)

    shown = text_of(olaf, f"{CLUSTERS}{pool.cluster.id}/change/")

    assert "holds back token default: 2 jobs in a row failed at once; the last one: no such file" in shown
    assert "alpha has held back the jobs of token default of big" in text_of(olaf, "/admin/")


def test_the_page_of_a_cluster_names_its_pools(pool: Pool, beta: Any, olaf: Client) -> None:
    assert 'change/">big</a> after 1 minute' in text_of(olaf, f"{CLUSTERS}{beta.cluster.id}/change/")


def test_lists_show_pools_apart(pool: Pool, olaf: Client) -> None:
    for page in (CLUSTERS, "/admin/"):
        context = olaf.get(page).context
        assert [health.cluster.name for health in context["fleet"]] == ["alpha", "beta"]
        assert [health.cluster.name for health in context["pools"]] == ["big"]
    assert "2 of 2 clusters" in text_of(olaf, CLUSTERS)
    assert olaf.get("/admin/").context["silent"] == 2


def test_jobs_are_moved_into_a_pool(pool: Pool, alpha: Any, olaf: Client, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    page = "/admin/jobs/job/act/move/"
    assert ">big (pool)</option>" in text_of(olaf, f"{page}?id={job}")

    olaf.post(page, {"id": job, "cluster_id": pool.cluster.id, "reason": "alpha is full"})

    assert Job.objects.get(id=job).cluster == pool.cluster


def test_a_pool_is_paused_from_the_list(pool: Pool, olaf: Client) -> None:
    olaf.post(f"{CLUSTERS}act/pause/", {"id": pool.cluster.id, "reason": "full"})

    pool.cluster.refresh_from_db()
    assert pool.cluster.paused_reason == "full"


def test_no_secret_of_a_pool_is_offered_or_made(pool: Pool, olaf: Client) -> None:
    page = f"{CLUSTERS}{pool.cluster.id}/credential/new/"
    assert 'value="secret"' not in text_of(olaf, page)

    answer = olaf.post(page, {"kind": "secret", "label": "agent", "days": 0, "reason": "why"})

    assert "is not one of the available choices" in answer.content.decode()
    assert not Credential.objects.filter(cluster=pool.cluster, kind="secret").exists()


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("groups", "manages", "makes", "changes"),
    [(["viewers"], False, 403, 403), (["operators"], False, 403, 200), (["operators"], True, 200, 200)],
)
def test_who_may_make_and_change_pools(
    pool: Pool, groups: list[str], manages: bool, makes: int, changes: int, method: str
) -> None:
    client = signed_in("paula", *groups, manages_credentials=manages)

    assert getattr(client, method)(NEW).status_code == makes
    assert getattr(client, method)(f"{CLUSTERS}{pool.cluster.id}/members/").status_code == changes
    assert (NEW in text_of(client, CLUSTERS)) == (makes == 200)
    assert ("/members/" in text_of(client, f"{CLUSTERS}{pool.cluster.id}/change/")) == (changes == 200)


def test_a_cluster_has_no_page_of_members(alpha: Any, olaf: Client) -> None:
    for id in (alpha.cluster.id, 987):
        assert olaf.get(f"{CLUSTERS}{id}/members/").status_code == 404
