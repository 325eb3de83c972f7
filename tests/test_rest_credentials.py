"""Whom the REST API admits, and what each may see: the rules of the gRPC door."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from clusters.models import Credential
from clusters.services.credentials import revoke_credential
from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import Rest, problem_in, puller, submitter

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["jobs", "jobs/1", "clusters", "clusters/alpha", "clusters/alpha/credentials"])
def test_without_a_credential_nobody_comes_in(path: str) -> None:
    response = Rest().get(path)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert problem_in(response)["detail"].startswith("a cluster ")


@pytest.mark.parametrize("value", ["wrong", "rbt_" + "a" * 32, "ü", "a b", "x" * 5000])
def test_a_value_that_nobody_has_is_refused(alpha: Member, value: str) -> None:
    response = Rest(value.encode().decode("latin-1")).get("jobs")

    assert response.status_code == 401
    assert problem_in(response)["detail"] == "request denied"


def test_a_refused_credential_an_unknown_cluster_and_anothers_cluster_are_one_answer(
    alpha: Member, mallory: Member
) -> None:
    answers = [
        Rest("wrong").get("clusters/alpha/queue"),
        puller(mallory).get("clusters/alpha/queue"),
        puller(mallory).get("clusters/nothing/queue"),
        submitter(alpha).get("clusters/alpha/queue"),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


def test_somebody_elses_job_is_like_one_that_is_not_there(alpha: Member, mallory: Member, now) -> None:
    (job,) = submitted(alpha, now=now)

    for stranger in (submitter(mallory), puller(mallory)):
        theirs = [stranger.get(f"jobs/{job}"), stranger.get(f"jobs/{job}/events"), stranger.post(f"jobs/{job}/cancel")]
        nobodys = [stranger.get("jobs/999"), stranger.get("jobs/999/events"), stranger.post("jobs/999/cancel")]
        assert {answer.status_code for answer in (*theirs, *nobodys)} == {404}
        assert [answer.content for answer in theirs] == [answer.content for answer in nobodys]
        assert stranger.get("jobs").json()["results"] == []


def test_a_token_sees_what_was_submitted_with_it_and_a_secret_all_of_its_cluster(alpha: Member, now) -> None:
    new = puller(alpha).post("clusters/alpha/credentials", {"kind": "token", "label": "physics"}).json()
    (mine,) = submitted(alpha, now=now)
    theirs = Rest(new["value"]).post("jobs", {"command": "hostname"}).json()["id"]

    def ids_seen_by(guest: Rest) -> list[int]:
        return [job["id"] for job in guest.get("jobs").json()["results"]]

    assert ids_seen_by(submitter(alpha)) == [mine]
    assert ids_seen_by(Rest(new["value"])) == [theirs]
    assert ids_seen_by(puller(alpha)) == [theirs, mine]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("clusters/alpha/accept", {"ids": [1]}),
        ("clusters/alpha/report", {"agent": "a", "reports": []}),
        ("clusters/alpha/pause", {"reason": "noon"}),
        ("clusters/alpha/credentials", {"kind": "token", "label": "x"}),
        ("jobs/1/requeue", {"reason": "again"}),
    ],
)
def test_a_token_may_not_do_what_takes_a_secret(alpha: Member, path: str, content: dict) -> None:
    assert submitter(alpha).post(path, content).status_code == 401


@pytest.mark.parametrize(
    ("path", "content"), [("jobs", {"command": "a"}), ("jobs/batch", {"jobs": [{"command": "a"}]})]
)
def test_a_secret_may_not_submit(alpha: Member, path: str, content: dict) -> None:
    assert puller(alpha).post(path, content).status_code == 401


def test_a_revoked_and_an_expired_credential_are_refused(alpha: Member) -> None:
    owner = puller(alpha)
    expires_at = (timezone.now() + timedelta(hours=1)).isoformat()
    short = owner.post(
        "clusters/alpha/credentials", {"kind": "token", "label": "short", "expires_at": expires_at}
    ).json()
    assert Rest(short["value"]).get("jobs").status_code == 200

    Credential.objects.filter(id=short["id"]).update(expires_at=timezone.now())
    revoke_credential(credential=Credential.objects.get(label="default", kind="token"), by=None, now=timezone.now())

    assert Rest(short["value"]).get("jobs").status_code == 401
    assert submitter(alpha).get("jobs").status_code == 401


def test_whoever_may_not_come_in_is_not_told_what_is_wrong_with_the_body(alpha: Member) -> None:
    assert Rest("wrong").post_bytes("jobs", b"{").status_code == 401
    assert Rest("wrong").post_bytes("register", b"{").status_code == 401
    assert Rest().post("register", {}).status_code == 401


def test_registering_takes_the_registration_secret(db: None, settings) -> None:
    settings.RAINBOW_REGISTRATION_SECRET = "schlüssel"
    owner = Rest("schlüssel".encode().decode("latin-1"))

    new = owner.post("register", {"name": "keebler"})

    assert new.status_code == 201
    assert new["Cache-Control"] == "no-store"
    assert Rest(new.json()["token"]).get("clusters/keebler").status_code == 200
    assert owner.post("register", {"name": "keebler"}).status_code == 409
    assert owner.post("register", {"name": "-"}).status_code == 400
    assert Rest("chocolate").post("register", {"name": "oreo"}).status_code == 401


def test_a_use_is_noted_once_a_minute(alpha: Member) -> None:
    submitter(alpha).get("clusters")
    used = Credential.objects.get(kind="token").last_used_at

    submitter(alpha).get("clusters")

    assert used is not None
    assert Credential.objects.get(kind="token").last_used_at == used


def test_the_label_of_a_token_that_has_expired_is_free(alpha: Member) -> None:
    def made(kind: str) -> Any:
        return puller(alpha).post("clusters/alpha/credentials", {"kind": kind, "label": "guests"})

    old = made("token").json()["value"]
    other = made("secret").json()["value"]
    assert made("token").status_code == 409
    Credential.objects.filter(kind="token", label="guests").update(expires_at=timezone.now() - timedelta(hours=1))

    new = made("token")

    assert new.status_code == 201
    assert Rest(new.json()["value"]).get("jobs").status_code == 200
    assert Rest(old).get("jobs").status_code == 401
    assert Rest(other).get("clusters/alpha/queue").status_code == 200
