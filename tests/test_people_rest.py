"""People over REST, with personal tokens."""

from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from clusters.callers import Operator
from tests.support.members import personal_token, project_of, shares, submitted_by
from tests.support.rest import Rest

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def as_(who: Operator, *, now: datetime, **wish: Any) -> Rest:
    return Rest(personal_token(who, now=now, **wish))


def test_a_person_submits_to_a_cluster_and_sees_the_job(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, at=("alpha", "beta"), now=now)
    rest = as_(alice, now=now)

    response = rest.post("clusters/beta/jobs", {"command": "hostname"})

    assert response.status_code == 201, response.content
    job = rest.get(f"jobs/{response.json()['id']}").json()
    assert response["Location"] == f"/api/v1/jobs/{job['id']}"
    assert (job["cluster"], job["owner"], job["project"]) == ("beta", "alice", "chem")
    assert [one["name"] for one in rest.get("clusters").json()] == ["alpha", "beta"]


def test_without_a_cluster_the_error_names_the_field(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)

    response = as_(alice, now=now).post("jobs", {"command": "hostname"})

    assert response.status_code == 400
    assert response.json()["errors"] == [{"field": "cluster", "detail": "name a cluster or a pool"}]


def test_many_jobs_are_refused_one_by_one(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", now=now)
    project_of(alice, name="bio", now=now)
    jobs = [{"command": "a", "project": name} for name in ("chem", "", "none")]

    results = as_(alice, now=now).post("clusters/alpha/jobs/batch", {"jobs": jobs}).json()["results"]

    assert [bool(one["id"]) for one in results] == [True, False, False]
    assert results[1]["error"] == {
        "code": "INVALID_ARGUMENT",
        "field": "project",
        "detail": "must be one of bio, chem",
    }


@pytest.mark.parametrize("path", ["clusters/beta/jobs", "clusters/none/jobs"])
def test_what_is_out_of_reach_is_refused_alike(
    alpha: Any, beta: Any, alice: Operator, path: str, now: datetime
) -> None:
    project_of(alice, now=now)

    response = as_(alice, now=now).post(path, {"command": "hostname"})

    assert (response.status_code, response.json()["detail"]) == (401, "request denied")


def test_a_token_for_reading_gets_and_posts_nothing(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    rest = as_(alice, reads_only=True, now=now)

    assert rest.get("jobs").status_code == 200
    response = rest.post("clusters/alpha/jobs", {"command": "hostname"})
    assert (response.status_code, response.json()["detail"]) == (403, "this token may only read")


def test_me_and_my_tokens(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(lead=alice, now=now)
    rest = as_(alice, now=now)

    me = rest.get("me").json()
    (mine,) = me["projects"]
    assert me["person"] == "alice"
    assert mine.pop("limits") == me["limits"]
    assert mine == {"name": "chem", "leads": True, "shares": False, "clusters": ["alpha"]}
    made = rest.post("me/tokens", {"label": "ci", "days": 7, "project": "chem", "clusters": ["alpha"]})
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    assert Rest(made.json()["value"]).get("jobs").status_code == 200
    assert [one["label"] for one in rest.get("me/tokens").json()] == ["ci", "laptop"]
    assert rest.post(f"me/tokens/{made.json()['id']}/revoke", {}).status_code == 204
    assert Rest(made.json()["value"]).get("jobs").status_code == 401
    service = rest.post("me/tokens", {"label": "svc", "project": "chem", "for_project": True}).json()["value"]
    assert service.startswith("rbp_")
    assert Rest(service).get("me").status_code == 401


def test_a_narrowed_token_makes_no_others(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)

    response = as_(alice, project="chem", now=now).post("me/tokens", {"label": "wider"})

    assert response.status_code == 403


def test_a_clusters_credential_is_nobody(alpha: Any) -> None:
    assert [Rest(value).get("me").status_code for value in (alpha.token, alpha.secret)] == [401, 401]


def test_no_credential_of_people_is_made_among_a_clusters(alpha: Any) -> None:
    response = Rest(alpha.secret).post("clusters/alpha/credentials", {"kind": "personal", "label": "x"})

    assert response.status_code == 400


def test_a_job_that_one_only_sees_is_not_cancelled_and_the_answer_says_so(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    shares(project_of(alice, bob, now=now), now=now)
    (his,) = submitted_by(bob, now=now)
    guest = Rest(personal_token(alice, now=now))
    why = "only its owner and the leads of its project may cancel it"

    one, many = guest.post(f"jobs/{his}/cancel"), guest.post("jobs/cancel", {"ids": [his, 2**31 - 1]})

    assert (one.status_code, one.json()["detail"]) == (404, why)
    assert [(each["outcome"], each["detail"]) for each in many.json()["results"]] == [
        ("not_found", why),
        ("not_found", "there is no such job"),
    ]
