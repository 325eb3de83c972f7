"""Looking at one job over REST, stopping jobs, putting them back."""

from datetime import datetime

import pytest

from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import Rest, fields_at_fault, problem_in, puller, submitter

pytestmark = pytest.mark.django_db


def test_a_job_that_did_not_change_is_not_sent_again(alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    guest = submitter(alpha)
    seen = guest.get(f"jobs/{job}")

    same = guest.get(f"jobs/{job}", If_None_Match=seen["ETag"])
    puller(alpha).post("clusters/alpha/accept", {"ids": [job]})
    changed = guest.get(f"jobs/{job}", If_None_Match=seen["ETag"])

    assert (same.status_code, same.content) == (304, b"")
    assert changed.status_code == 200
    assert changed["ETag"] != seen["ETag"]


@pytest.mark.parametrize("path", ["jobs", "jobs/1", "jobs/99", "clusters/alpha", "nothing"])
def test_no_cache_on_the_way_keeps_an_answer_for_others(alpha: Member, now: datetime, path: str) -> None:
    submitted(alpha, now=now)

    for by in (puller(alpha), Rest()):
        assert by.get(path)["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("number", ["0", "999", "2147483648", "9" * 5000])
def test_a_number_that_is_no_job_is_not_found(alpha: Member, number: str) -> None:
    for path in (f"jobs/{number}", f"jobs/{number}/events"):
        assert submitter(alpha).get(path).status_code == 404
    assert submitter(alpha).post(f"jobs/{number}/cancel").status_code == 404


def test_events_tell_what_happened_oldest_first(alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    submitter(alpha).post(f"jobs/{job}/cancel", {"reason": "wrong input"})

    events = submitter(alpha).get(f"jobs/{job}/events").json()

    assert [(event["what"], event["state"], event["who"], event["why"]) for event in events] == [
        ("submitted", "queued", "token default", ""),
        ("cancelled", "cancelled", "token default", "wrong input"),
    ]


def test_a_waiting_job_is_cancelled_at_once_with_and_without_a_body(alpha: Member, now: datetime) -> None:
    one, two = submitted(alpha, 2, now=now)
    guest = submitter(alpha)

    answers = [guest.post(f"jobs/{one}/cancel", {"reason": "flood"}), guest.post_bytes(f"jobs/{two}/cancel", b"")]

    assert [answer.json()["outcome"] for answer in answers] == ["cancelled", "cancelled"]
    assert guest.get(f"jobs/{one}").json()["state"] == "cancelled"


def test_what_cannot_be_stopped_is_a_conflict(alpha: Member, now: datetime) -> None:
    over, handed_over = submitted(alpha, 2, now=now)
    guest = submitter(alpha)
    guest.post(f"jobs/{over}/cancel")
    puller(alpha).post("clusters/alpha/accept", {"ids": [handed_over]})

    refused = [guest.post(f"jobs/{job}/cancel") for job in (over, handed_over)]

    assert [answer.status_code for answer in refused] == [409, 409]
    assert problem_in(refused[0])["detail"] == "the job was over already"
    assert "can only be stopped there" in problem_in(refused[1])["detail"]


def test_many_are_cancelled_with_an_outcome_each(alpha: Member, beta: Member, now: datetime) -> None:
    (mine,), (theirs,) = submitted(alpha, now=now), submitted(beta, now=now)

    answer = submitter(alpha).post("jobs/cancel", {"ids": [mine, theirs, mine], "reason": "flood"}).json()

    assert [(item["id"], item["outcome"]) for item in answer["results"]] == [
        (mine, "cancelled"),
        (theirs, "not_found"),
    ]


@pytest.mark.parametrize(
    ("content", "field"),
    [({}, "ids"), ({"ids": []}, "ids"), ({"ids": [1] * 10_001}, "ids"), ({"ids": [1], "reason": "a\nb"}, "reason")],
)
def test_a_cancellation_that_cannot_be_is_refused(alpha: Member, content: dict, field: str) -> None:
    assert fields_at_fault(submitter(alpha).post("jobs/cancel", content)) == [field]


def test_an_accepted_job_is_put_back_as_its_next_attempt(alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    owner = puller(alpha)
    owner.post("clusters/alpha/accept", {"ids": [job]})

    back = owner.post(f"jobs/{job}/requeue", {"reason": "the node died"})

    assert (back.json()["state"], back.json()["attempt"]) == ("queued", 2)
    assert owner.post(f"jobs/{job}/requeue", {"reason": "again"}).status_code == 409
    assert fields_at_fault(owner.post(f"jobs/{job}/requeue")) == ["reason"]


def test_a_stranger_may_not_put_back(alpha: Member, mallory: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)

    assert puller(mallory).post(f"jobs/{job}/requeue", {"reason": "x"}).status_code == 404
    assert Rest().post(f"jobs/{job}/requeue", {"reason": "x"}).status_code == 401
