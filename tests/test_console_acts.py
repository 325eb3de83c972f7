"""What operators do in the console goes through the services, is written into both logs, and is told."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from clusters.callers import Claim
from clusters.models import Credential
from clusters.services.authenticate import admit
from jobs.models import BulkAction, Job, JobEvent
from jobs.services.accept import accept_jobs
from rainbow.errors import Unauthenticated
from tests.support.console import signed_in
from tests.support.queue import submitted

JOBS = "/admin/jobs/job/"
CLUSTERS = "/admin/clusters/cluster/"


@pytest.fixture
def olaf(db: None) -> Client:
    return signed_in("olaf", "operators", manages_credentials=True)


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def log() -> list[tuple[str, str]]:
    return [(entry.user.get_username(), entry.change_message) for entry in LogEntry.objects.order_by("id")]


def test_pausing_and_resuming(alpha: Any, beta: Any, olaf: Client) -> None:
    both = [alpha.cluster.id, beta.cluster.id]
    asked = olaf.get(f"{CLUSTERS}act/pause/", {"id": both})
    done = olaf.post(f"{CLUSTERS}act/pause/", {"id": both, "reason": "a leak"}, follow=True)
    again = olaf.post(f"{CLUSTERS}act/pause/", {"id": [alpha.cluster.id], "reason": "a leak"}, follow=True)
    olaf.post(f"{CLUSTERS}act/resume/", {"id": both, "reason": "dry"})

    assert "Pause 2 clusters" in re.sub(r"<[^>]*>", "", asked.content.decode())
    assert messages(done) == ["alpha is paused.", "beta is paused."]
    assert messages(again) == ["alpha: the cluster is paused already"]
    assert log() == [("olaf", "paused: a leak")] * 2 + [("olaf", "resumed: dry")] * 2
    alpha.cluster.refresh_from_db()
    assert alpha.cluster.paused_at is None


def test_turns_begin_and_end(alpha: Any, olaf: Client) -> None:
    said = {"id": [alpha.cluster.id], "reason": "many teams"}
    begun = olaf.post(f"{CLUSTERS}act/begin-turns/", said, follow=True)
    ended = olaf.post(f"{CLUSTERS}act/end-turns/", said, follow=True)

    assert messages(begun) == ["alpha lets submitters take turns."]
    assert "turns of those who submit them" in begun.content.decode()
    assert messages(ended) == ["alpha lets jobs go by age."]
    assert log() == [("olaf", "lets submitters take turns: many teams"), ("olaf", "lets jobs go by age: many teams")]


def test_a_reason_is_needed(alpha: Any, olaf: Client) -> None:
    answer = olaf.post(f"{CLUSTERS}act/pause/", {"id": alpha.cluster.id, "reason": ""})

    assert "This field is required" in answer.content.decode()
    alpha.cluster.refresh_from_db()
    assert alpha.cluster.paused_at is None


def test_a_new_value_is_shown_once_and_no_cache_keeps_it(alpha: Any, olaf: Client) -> None:
    token = Credential.objects.get(kind="token")
    page = f"{CLUSTERS}credential/{token.id}/rotate/"

    answer = olaf.post(page, {"grace_seconds": 0, "reason": "it leaked"})

    value = re.search(r"rbt_[\w-]+", answer.content.decode())
    assert value and "no-store" in answer["Cache-Control"]
    assert admit(Claim(value=value[0]), now=token.created_at).cluster == "alpha"
    with pytest.raises(Unauthenticated):
        admit(Claim(value=alpha.token), now=token.created_at + timedelta(seconds=1))
    assert log() == [("olaf", "rotated token default: it leaked")]
    for later in (f"{CLUSTERS}{alpha.cluster.id}/change/", page):
        assert value[0] not in olaf.get(later).content.decode()


def test_a_revoked_credential_works_no_longer(alpha: Any, olaf: Client, now: datetime) -> None:
    secret = Credential.objects.get(kind="secret")
    page = f"{CLUSTERS}credential/{secret.id}/revoke/"

    olaf.post(page, {"reason": "it leaked"})
    again = olaf.post(page, {"reason": "it leaked"}, follow=True)

    with pytest.raises(Unauthenticated):
        admit(Claim(value=alpha.secret), now=now)
    assert messages(again)[-1] == "this credential was revoked before"
    assert log() == [("olaf", "revoked secret default: it leaked")]


def test_chosen_jobs_are_acted_on_and_the_rest_is_explained(alpha: Any, olaf: Client, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids[:1], now=now)

    asked = olaf.get(f"{JOBS}act/prioritize/", {"id": ids})
    done = olaf.post(f"{JOBS}act/prioritize/", {"id": ids, "priority": 50, "reason": "demo"}, follow=True)

    assert "Change the priority of 2 of 3 jobs" in asked.content.decode()
    assert messages(done) == [
        "2 jobs given another priority.",
        "1 job not given another priority: the job is accepted; only waiting jobs have a use for a priority.",
    ]
    assert log() == [("olaf", "given another priority: demo")] * 2
    assert JobEvent.objects.filter(what="priority_changed", operator__username="olaf").count() == 2


def test_moving_goes_to_the_chosen_cluster(alpha: Any, beta: Any, olaf: Client, now: datetime) -> None:
    ids = submitted(alpha, 1, now=now)

    olaf.post(f"{JOBS}act/move/", {"id": ids, "cluster_id": beta.cluster.id, "reason": "full"})

    assert Job.objects.get().cluster == beta.cluster


def test_all_that_match_are_cancelled_step_by_step(alpha: Any, olaf: Client, now: datetime) -> None:
    ids = submitted(alpha, 2_300, now=now, name="bad")
    good = submitted(alpha, 1, now=now, name="good")
    begin = f"{JOBS}bulk/begin/cancel/?state=queued&cluster={alpha.cluster.id}&text=bad"

    asked = olaf.get(begin)
    page = olaf.post(begin, {"reason": "wrong input"})["Location"]
    shown = []
    while not BulkAction.objects.get().over:
        olaf.post(f"{page}step/")
        shown.append(BulkAction.objects.get().changed)

    assert "Cancel 2,300 jobs" in asked.content.decode()
    assert shown == [1_000, 2_000, 2_300]
    assert "2,300" in olaf.get(page).content.decode()
    assert Job.objects.filter(state="cancelled").count() == len(ids)
    assert Job.objects.get(id=good[0]).state == "queued"
    assert [message for _, message in log()] == [
        "began to cancel all jobs that are queued of alpha with the text “bad”: wrong input",
        "2,300 cancelled, 0 not",
    ]


def test_a_bulk_action_can_be_stopped(alpha: Any, olaf: Client, now: datetime) -> None:
    submitted(alpha, 1_500, now=now)
    page = olaf.post(f"{JOBS}bulk/begin/cancel/", {"reason": "wrong input"})["Location"]
    olaf.post(f"{page}step/")

    olaf.post(f"{page}stop/")
    olaf.post(f"{page}step/")

    assert Job.objects.filter(state="cancelled").count() == 1_000
    assert "Stopped at 66 %" in olaf.get(page).content.decode()


def test_following_a_link_does_not_act_but_leads_to_the_page_that_does(alpha: Any, olaf: Client, now: datetime) -> None:
    submitted(alpha, 1, now=now)
    page = olaf.post(f"{JOBS}bulk/begin/cancel/", {"reason": "wrong input"})["Location"]

    for verb in ("step", "stop"):
        followed = olaf.get(f"{page}{verb}/")
        assert (followed.status_code, followed["Location"]) == (302, page)
    assert Job.objects.get().state == "queued"
    assert not BulkAction.objects.get().over


@pytest.mark.parametrize("query", ["", "?id=", "?id=x", "?id=99999999999", "?id=0&id=-1"])
def test_nothing_chosen_is_said(olaf: Client, query: str) -> None:
    assert messages(olaf.get(f"{JOBS}act/cancel/{query}", follow=True)) == ["Choose the jobs first."]
