"""Operators who may not see what jobs run find it nowhere, whatever they look at or search for."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from clusters.models import Credential
from jobs.models import Job
from jobs.queries.search import Search
from jobs.services.actions import Action
from jobs.services.bulk_actions import begin_bulk_action
from jobs.states import ActionKind
from tests.support.console import signed_in
from tests.support.queue import operator_named, submitted

ROOM, REST = "/admin/", "/api/v1/"
HIDDEN = ("whisper", "sesame", "workplace", "humming-bird", "vessel", "harbor")
PAGES = [
    ROOM,
    f"{ROOM}jobs/job/",
    f"{ROOM}jobs/job/{{j}}/change/",
    f"{ROOM}jobs/job/{{j}}/history/",
    f"{ROOM}clusters/cluster/{{c}}/change/",
    f"{ROOM}clusters/cluster/{{c}}/history/",
    f"{ROOM}jobs/job/bulk/{{s}}/",
    *(f"{ROOM}jobs/job/act/{kind}/?id={{j}}" for kind in ActionKind),
    *(f"{ROOM}jobs/job/bulk/begin/{kind}/" for kind in ActionKind),
    f"{REST}jobs",
    f"{REST}jobs/{{j}}",
    f"{REST}jobs/{{j}}/events",
    f"{REST}clusters",
    f"{REST}clusters/alpha",
    f"{REST}clusters/alpha/queue",
    f"{REST}clusters/alpha/events",
    f"{REST}clusters/alpha/credentials",
]


@pytest.fixture
def ids(alpha: Any, now: datetime) -> dict[str, int]:
    job = submitted(
        alpha,
        now=now,
        name="fluid",
        command="whisper",
        environment={"KEY": "sesame"},
        working_directory="/workplace",
        image="vessel",
        mounts=("/harbor:/data",),
    )[0]
    Job.objects.filter(id=job).update(output="humming-bird")
    bulk_action = begin_bulk_action(
        action=Action(kind=ActionKind.CANCEL, reason="x"), search=Search(), by=operator_named("olga"), now=now
    )
    return {"c": alpha.cluster.id, "j": job, "s": bulk_action.id, "k": Credential.objects.earliest("id").id}


@pytest.fixture
def olaf(db: None) -> Client:
    return signed_in("olaf", "operators")


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("address", PAGES)
def test_no_page_shows_what_a_job_runs(ids: dict[str, int], olaf: Client, address: str, accept: str) -> None:
    page = olaf.get(address.format(**ids), headers={"Accept": accept}).content.decode()

    assert not [text for text in HIDDEN if text in page]


@pytest.mark.parametrize("text", HIDDEN)
def test_no_search_tells_what_a_job_runs(ids: dict[str, int], olaf: Client, text: str) -> None:
    seer = signed_in("sana", "operators", sees_content=True)
    search = {"text": text}

    assert "fluid" not in olaf.get(f"{ROOM}jobs/job/", search).content.decode()
    assert "None of 0 jobs" in olaf.get(f"{ROOM}jobs/job/bulk/begin/cancel/?text={text}").content.decode()
    found = "fluid" in seer.get(f"{ROOM}jobs/job/", search).content.decode()
    assert found == (text == "whisper"), "what searches look into"


def test_no_act_on_all_that_match_tells_what_a_job_runs(ids: dict[str, int], olaf: Client) -> None:
    """How many it changed would tell."""
    page = olaf.post(f"{ROOM}jobs/job/bulk/begin/prioritize/?text=whisper", {"priority": 5, "reason": "x"})["Location"]

    olaf.post(f"{page}step/")

    assert Job.objects.get().priority == 0
