"""Pools over REST."""

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from clusters.bounds import Bounds
from clusters.models import Cluster
from clusters.services.authenticate import note_visits
from jobs.models import Job
from jobs.services.pools import Member, members_of
from tests.conftest import Member as Cast
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted
from tests.support.rest import Rest, fields_at_fault, problem_in, puller, submitter

pytestmark = pytest.mark.django_db
ALL = ("view_cluster", "change_cluster", "view_credential", "manage_credential", "view_job", "change_job")
MEMBERS = [{"cluster": "beta"}, {"cluster": "alpha", "after_seconds": 300}]
WISH = {"name": "big", "members": MEMBERS}


def operator(*names: str) -> Rest:
    user, _ = User.objects.get_or_create(username="ada", defaults={"is_staff": True})
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    rest = Rest()
    rest.client.force_login(user)
    return rest


@pytest.fixture
def pool(alpha: Cast, beta: Cast, now: datetime) -> Pool:
    return pool_of("alpha", Member(cluster="beta", after_seconds=60), now=now)


def test_a_pool_is_created_and_its_token_submits(alpha: Cast, beta: Cast) -> None:
    made = operator(*ALL).post("pools", {**WISH, "reason": "for all"})

    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    assert [(one["cluster"], one["after_seconds"]) for one in made.json()["members"]] == [("beta", 0), ("alpha", 300)]
    job = Rest(made.json()["token"]).post("jobs", {"command": "hostname"}).json()
    assert job["cluster"] == "big"
    assert job["warning"] == "no cluster of big takes jobs: each is paused, is not ready or has never asked for jobs"


def test_a_pool_tells_how_it_and_its_clusters_fare(pool: Pool, beta: Cast, now: datetime) -> None:
    submitted(pool, 2, now=now)
    asked = timezone.now()
    note_visits(used=[], asked={beta.cluster.id: Bounds()}, now=asked)

    detail = operator(*ALL).get("pools/big").json()

    assert detail["name"] == "big"
    assert detail["jobs"] == {"queued": 2}
    assert detail["oldest_submitted_at"] == "2026-11-01T12:00:00Z"
    assert detail["last_asked_at"] == detail["members"][1]["last_asked_at"] is not None
    assert detail["warning"] == ""
    assert detail["members"][0] == {
        "cluster": "alpha", "after_seconds": 0, "last_asked_at": None, "paused_at": None, "not_ready": ""
    }  # fmt: skip
    assert "token" not in detail
    assert operator(*ALL).get("pools").json() == [detail]


def test_the_list_of_clusters_has_a_pool_for_its_own_tokens_alone(pool: Pool, mallory: Cast) -> None:
    assert [one["name"] for one in operator(*ALL).get("clusters").json()] == ["alpha", "beta", "mallory"]
    assert [one["name"] for one in Rest(pool.token).get("clusters").json()] == ["alpha", "beta", "big"]


def test_a_pool_is_changed(pool: Pool) -> None:
    changed = operator(*ALL).put("pools/big", {"members": MEMBERS, "reason": "beta is larger"})

    assert changed.status_code == 200
    assert [one["cluster"] for one in changed.json()["members"]] == ["beta", "alpha"]
    assert members_of(pool.cluster) == [Member(cluster="beta"), Member(cluster="alpha", after_seconds=300)]
    (event, _) = operator(*ALL).get("clusters/big/events").json()["results"]
    assert (event["what"], event["who"]) == ("pool_changed", "ada")
    assert event["why"].endswith(": beta is larger")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"members": MEMBERS}, "name"),
        ({"name": "big"}, "members"),
        ({"name": "big", "members": []}, "members"),
        ({"name": "big", "members": [{"cluster": "alpha"}] * 101}, "members"),
        ({"name": "big", "members": ["alpha"]}, "members.0"),
        ({"name": "big", "members": [{"cluster": "alpha"}, {"cluster": "alpha"}]}, "members"),
        ({"name": "big", "members": [{"cluster": "alpha", "after_seconds": -1}]}, "members.0.after_seconds"),
        ({"name": "big", "members": [{"cluster": "alpha", "after_seconds": "1"}]}, "members.0.after_seconds"),
        ({"name": "big", "members": [{"cluster": "alpha", "delay": 1}]}, "members.0.delay"),
        ({"name": "not a name", "members": [{"cluster": "alpha"}]}, "name"),
        ({**WISH, "secret": "mine"}, "secret"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(alpha: Cast, beta: Cast, content: dict[str, Any], field: str) -> None:
    assert fields_at_fault(operator(*ALL).post("pools", content)) == [field]
    assert not Cluster.objects.filter(pool=True).exists()


@pytest.mark.parametrize("name", ["alpha", "big"])
def test_a_name_that_is_taken_is_a_conflict(pool: Pool, name: str) -> None:
    answer = operator(*ALL).post("pools", {**WISH, "name": name})

    assert answer.status_code == 409
    assert fields_at_fault(answer) == ["name"]


def test_a_cluster_that_is_not_there_is_not_found(alpha: Cast) -> None:
    answer = operator(*ALL).post("pools", {"name": "big", "members": [{"cluster": "alpha"}, {"cluster": "gamma"}]})

    assert answer.status_code == 404
    assert problem_in(answer)["detail"] == "members: there is no cluster 'gamma'"


def test_what_is_no_pool_is_not_found(pool: Pool) -> None:
    for name in ("alpha", "gamma"):
        for answer in (operator(*ALL).get(f"pools/{name}"), operator(*ALL).put(f"pools/{name}", {"members": MEMBERS})):
            assert answer.status_code == 404
            assert problem_in(answer)["detail"] == "there is no such pool"


@pytest.mark.parametrize(
    ("method", "path", "content", "needed"),
    [
        ("get", "pools", None, ["view_cluster"]),
        ("get", "pools/big", None, ["view_cluster"]),
        ("put", "pools/big", {"members": MEMBERS}, ["change_cluster"]),
        ("post", "pools", {**WISH, "name": "other"}, ["change_cluster", "manage_credential"]),
    ],
)
def test_an_account_does_what_its_permission_says(
    pool: Pool, method: str, path: str, content: Any, needed: list[str]
) -> None:
    for lacking in needed:
        without = operator(*(name for name in ALL if name != lacking))
        assert getattr(without, method)(path, content).status_code == 403

    assert getattr(operator(*needed), method)(path, content).status_code in (200, 201)


@pytest.mark.parametrize(
    ("method", "path"), [("get", "pools"), ("get", "pools/big"), ("put", "pools/big"), ("post", "pools")]
)
def test_credentials_and_strangers_get_no_pools(pool: Pool, alpha: Cast, method: str, path: str) -> None:
    for caller in (Rest(), puller(alpha), submitter(alpha), Rest(pool.token)):
        assert getattr(caller, method)(path, WISH if method != "get" else None).status_code == 401


# A pool's token and what is a cluster's


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("get", "clusters/{name}/queue", None),
        ("post", "clusters/{name}/accept", {"ids": [1], "agent": "a"}),
        ("post", "clusters/{name}/report", {"agent": "a", "reports": []}),
        ("post", "clusters/{name}/pause", {"reason": "mine"}),
        ("get", "clusters/{name}/credentials", None),
        ("post", "clusters/{name}/credentials", {"kind": "secret", "label": "x"}),
    ],
)
@pytest.mark.parametrize("name", ["big", "alpha"])
def test_a_token_of_a_pool_pulls_and_administers_nothing(
    pool: Pool, now: datetime, method: str, path: str, content: Any, name: str
) -> None:
    submitted(pool, now=now)

    answer = getattr(Rest(pool.token), method)(path.format(name=name), content)

    assert answer.status_code == 401
    assert Job.objects.get().state == "queued"


def test_operators_make_tokens_of_a_pool_but_no_secret(pool: Pool) -> None:
    made = operator(*ALL).post("clusters/big/credentials", {"kind": "token", "label": "ci"})
    refused = operator(*ALL).post("clusters/big/credentials", {"kind": "secret", "label": "agent"})

    assert made.status_code == 201
    assert (refused.status_code, fields_at_fault(refused)) == (400, ["kind"])


def test_the_holder_of_a_pool_s_token_lists_cancels_and_counts_its_jobs(pool: Pool, alpha: Cast, now: datetime) -> None:
    (job,) = submitted(pool, now=now)
    submitted(alpha, now=now)
    mine = Rest(pool.token)

    assert [one["id"] for one in mine.get("jobs").json()["results"]] == [job]
    assert mine.get(f"jobs/{job}").json()["cluster"] == "big"
    assert mine.get("clusters/big").json()["jobs"] == {"queued": 1}
    assert mine.post(f"jobs/{job}/cancel").json()["outcome"] == "cancelled"
    assert mine.get("clusters/big").json()["jobs"] == {"cancelled": 1}


def test_jobs_move_into_a_pool_and_out_of_it(pool: Pool, alpha: Cast, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    ada = operator(*ALL)

    into = ada.post("jobs/move", {"ids": [job], "cluster": "big", "reason": "alpha is full"}).json()
    there = Job.objects.get(id=job).cluster.name
    out = ada.post("jobs/move", {"ids": [job], "cluster": "beta", "reason": "beta is idle"}).json()

    assert (into["results"][0]["refusal"], out["results"][0]["refusal"]) == ("", "")
    assert (there, Job.objects.get(id=job).cluster.name) == ("big", "beta")
    assert ada.get("pools/big").json()["jobs"] == {}
