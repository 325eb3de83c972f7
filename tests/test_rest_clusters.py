"""Clusters and their credentials over REST."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import Rest, fields_at_fault, problem_in, puller, submitter

pytestmark = pytest.mark.django_db


def test_a_cluster_tells_how_it_fares(alpha: Member, now: datetime) -> None:
    one, _ = submitted(alpha, 2, now=now)
    puller(alpha).post("clusters/alpha/accept", {"ids": [one]})

    detail = submitter(alpha).get("clusters/alpha").json()

    assert detail["jobs"] == {"accepted": 1, "queued": 1}
    assert detail["oldest_submitted_at"] == "2026-11-01T12:00:00Z"
    assert detail["warning"] == "alpha has never asked for jobs"
    assert submitter(alpha).get("clusters").json() == [detail]


def test_a_cluster_is_paused_and_resumed(alpha: Member) -> None:
    owner = puller(alpha)

    paused = owner.post("clusters/alpha/pause", {"reason": "maintenance"}).json()

    assert (paused["paused_reason"], paused["paused_by"]) == ("maintenance", "secret default")
    assert owner.post("clusters/alpha/pause", {"reason": "again"}).status_code == 409
    assert owner.post("clusters/alpha/resume").json()["paused_at"] is None
    assert owner.post("clusters/alpha/resume").status_code == 409
    assert fields_at_fault(owner.post("clusters/alpha/pause")) == ["reason"]


def test_a_credential_is_made_listed_rotated_and_revoked(alpha: Member) -> None:
    owner = puller(alpha)
    wish = {"kind": "token", "label": "physics", "expires_at": (timezone.now() + timedelta(days=30)).isoformat()}

    made = owner.post("clusters/alpha/credentials", wish)
    number, old = made.json()["id"], made.json()["value"]
    rotated = owner.post(f"clusters/alpha/credentials/{number}/rotate", {"grace_seconds": 3600})
    new = rotated.json()["value"]

    assert (made.status_code, rotated.status_code) == (201, 200)
    assert made["Cache-Control"] == rotated["Cache-Control"] == "no-store"
    assert Rest(old).get("jobs").status_code == Rest(new).get("jobs").status_code == 200
    listed = owner.get("clusters/alpha/credentials")
    assert [(item["kind"], item["label"]) for item in listed.json()] == [
        ("secret", "default"),
        ("token", "default"),
        ("token", "physics"),
    ]
    assert old not in listed.content.decode()
    assert "digest" not in listed.content.decode()
    assert owner.post(f"clusters/alpha/credentials/{number}/revoke").json()["revoked_at"]
    assert Rest(old).get("jobs").status_code == Rest(new).get("jobs").status_code == 401
    assert owner.post(f"clusters/alpha/credentials/{number}/revoke").status_code == 409


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"label": "x"}, "kind"),
        ({"kind": "password", "label": "x"}, "kind"),
        ({"kind": "token"}, "label"),
        ({"kind": "token", "label": ""}, "label"),
        ({"kind": "token", "label": "x" * 64}, "label"),
        ({"kind": "token", "label": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"kind": "token", "label": "x", "expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
        ({"kind": "token", "label": "x", "value": "mine"}, "value"),
    ],
)
def test_a_credential_that_cannot_be_is_refused(alpha: Member, content: dict, field: str) -> None:
    assert fields_at_fault(puller(alpha).post("clusters/alpha/credentials", content)) == [field]


def test_a_label_in_use_is_a_conflict(alpha: Member) -> None:
    response = puller(alpha).post("clusters/alpha/credentials", {"kind": "token", "label": "default"})

    assert response.status_code == 409
    assert fields_at_fault(response) == ["label"]


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_anothers_credential_is_like_one_that_is_not_there(alpha: Member, mallory: Member, verb: str) -> None:
    owner = puller(mallory)
    theirs = alpha.submitter.credential_id

    answers = [owner.post(f"clusters/mallory/credentials/{number}/{verb}") for number in (theirs, 999, "9" * 30)]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert problem_in(answers[0])["detail"] == "the cluster has no such credential"


@pytest.mark.parametrize("grace", [-1, 604_801, "300", 0.5])
def test_a_grace_that_cannot_be_is_refused(alpha: Member, grace: object) -> None:
    number = alpha.submitter.credential_id

    response = puller(alpha).post(f"clusters/alpha/credentials/{number}/rotate", {"grace_seconds": grace})

    assert fields_at_fault(response) == ["grace_seconds"]
