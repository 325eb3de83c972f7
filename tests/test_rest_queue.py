"""What a cluster's agent does over REST: look, wait, accept, report."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from clusters.models import Cluster
from jobs.rest import long_poll
from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import Rest, fields_at_fault, puller, submitter
from tests.support.servers import RainbowServer
from tests.support.web import get, post, registered
from tests.support.wire import eventually


@pytest.fixture
def agent(alpha: Member) -> Rest:
    return puller(alpha)


def test_the_queue_is_shown_in_its_order_and_reserves_nothing(agent: Rest, alpha: Member, now: datetime) -> None:
    low, high = submitted(alpha, now=now, priority=-1), submitted(alpha, now=now, priority=9, environment={"A": "b"})

    first, second = (agent.get("clusters/alpha/queue?max_jobs=5").json() for _ in range(2))

    assert first == second
    assert [job["id"] for job in first["jobs"]] == [*high, *low]
    assert first["jobs"][0]["environment"] == {"A": "b"}
    assert first["paused"] == ""


def test_only_what_the_cluster_can_take_is_shown(agent: Rest, alpha: Member, now: datetime) -> None:
    small = submitted(alpha, now=now, nodes=1, labels={"team": "physics"})
    submitted(alpha, now=now, nodes=9, labels={"team": "physics"})
    submitted(alpha, now=now)

    answer = agent.get("clusters/alpha/queue?max_nodes=4&label=team%3Dphysics").json()

    assert [job["id"] for job in answer["jobs"]] == small
    assert Cluster.objects.get(name="alpha").last_bounds["max_nodes"] == 4


def test_an_answer_holds_some_four_megabytes(agent: Rest, alpha: Member, now: datetime) -> None:
    submitted(alpha, 80, now=now, command="a" * 60_000)

    answer = agent.get("clusters/alpha/queue")

    assert 60 < len(answer.json()["jobs"]) < 80
    assert len(answer.content) < long_poll.MAX_BYTES * 1.1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("wait_seconds=61", "wait_seconds"),
        ("wait_seconds=-1", "wait_seconds"),
        ("max_jobs=1_0", "max_jobs"),
        ("max_jobs=", "max_jobs"),
        ("max_node=4", "max_node"),
        ("label=physics", "label"),
        ("label=%3Dx", "label"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(agent: Rest, query: str, field: str) -> None:
    response = agent.get(f"clusters/alpha/queue?{query}")

    assert response.status_code == 400
    assert fields_at_fault(response) == [field]


def test_a_paused_cluster_gets_no_jobs_and_is_told_why(agent: Rest, alpha: Member, now: datetime) -> None:
    submitted(alpha, now=now)
    agent.post("clusters/alpha/pause", {"reason": "maintenance"})

    assert agent.get("clusters/alpha/queue").json() == {"jobs": [], "paused": "maintenance"}


def test_jobs_are_accepted_once_and_the_others_are_explained(agent: Rest, alpha: Member, now: datetime) -> None:
    one, two = submitted(alpha, 2, now=now)
    agent.post("clusters/alpha/accept", {"ids": [one]})

    answer = agent.post("clusters/alpha/accept", {"ids": [one, two, 999, two]}).json()

    assert answer["accepted"] == [{"id": two, "attempt": 1, "lease_expires_at": None}]
    assert [(item["id"], item["reason"]) for item in answer["refused"]] == [
        (one, "not_queued"),
        (999, "not_found"),
        (two, "repeated"),
    ]


def test_an_agent_repeats_its_acceptance_without_harm(agent: Rest, alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    sent = {"ids": [job], "agent": "login-1", "lease_seconds": 60}

    first, second = (agent.post("clusters/alpha/accept", sent).json() for _ in range(2))

    assert first["accepted"][0]["lease_expires_at"].endswith("Z")
    assert second["accepted"][0]["id"] == job
    assert second["refused"] == []


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": [0]}, "ids.0"),
        ({"ids": ["1"]}, "ids.0"),
        ({"ids": [1], "lease_seconds": 60}, "lease_seconds"),
        ({"ids": [1], "agent": "a", "lease_seconds": 9}, "lease_seconds"),
        ({"ids": [1], "agent": "a\n"}, "agent"),
        ({"jobids": [1]}, "jobids"),
    ],
)
def test_an_acceptance_that_cannot_be_is_refused(agent: Rest, content: dict, field: str) -> None:
    assert fields_at_fault(agent.post("clusters/alpha/accept", content)) == [field]


def test_an_agent_reports_a_job_from_start_to_end(agent: Rest, alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    agent.post("clusters/alpha/accept", {"ids": [job], "agent": "login-1"})

    def report(**said: object) -> dict:
        sent = {"agent": "login-1", "reports": [{"id": job, "attempt": 1, **said}]}
        return agent.post("clusters/alpha/report", sent).json()["results"][0]

    assert report(state="running", native_id="f2")["outcome"] == "counted"
    submitter(alpha).post(f"jobs/{job}/cancel")
    assert report(state="running")["cancel"] is True
    assert report(state="failed", exit_code=3, output="no such file")["outcome"] == "counted"
    assert report(state="running")["outcome"] == "stale"
    shown = agent.get(f"jobs/{job}").json()
    assert (shown["state"], shown["exit_code"], shown["output"]) == ("failed", 3, "no such file")
    events = [event["what"] for event in agent.get(f"jobs/{job}/events").json()]
    assert events == ["submitted", "accepted", "started", "cancel_requested", "ended"]


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"id": 1, "attempt": 1}, "reports.0.state"),
        ({"id": 1, "attempt": 1, "state": "lost"}, "reports.0.state"),
        ({"id": 1, "attempt": 0, "state": "running"}, "reports.0.attempt"),
        ({"id": 1, "attempt": 1, "state": "completed", "exit_code": 1}, "exit_code"),
        ({"id": 1, "attempt": 1, "state": "running", "started_at": "noon"}, "reports.0.started_at"),
    ],
)
def test_a_report_that_cannot_be_is_refused(agent: Rest, report: dict, field: str) -> None:
    assert fields_at_fault(agent.post("clusters/alpha/report", {"agent": "a", "reports": [report]})) == [field]


def test_a_waiting_request_is_answered_when_a_job_comes_over_grpc(web_server: RainbowServer) -> None:
    guest = registered(web_server)

    with ThreadPoolExecutor() as pool:
        waits = pool.submit(
            get, web_server, f"/api/v1/clusters/{guest.name}/queue?wait_seconds=60", bearer=guest.secret
        )
        eventually(lambda: asked(guest))
        began = time.monotonic()
        job = guest.submit_over_grpc("hostname")
        answer = waits.result().json

    assert [item["id"] for item in answer["jobs"]] == [job]
    assert time.monotonic() - began < 60, "it was not the end of its time that ended it"


def test_a_waiting_request_ends_when_its_time_is_over(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    began = time.monotonic()

    answer = get(web_server, f"/api/v1/clusters/{guest.name}/queue?wait_seconds=1", bearer=guest.secret)

    assert answer.json == {"jobs": [], "paused": ""}
    assert time.monotonic() - began >= 1


def test_a_credential_that_is_revoked_while_it_waits_gets_nothing(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    path = f"/api/v1/clusters/{guest.name}"
    credentials = get(web_server, f"{path}/credentials", bearer=guest.secret).json
    (number,) = [credential["id"] for credential in credentials if credential["kind"] == "secret"]

    with ThreadPoolExecutor() as pool:
        waits = pool.submit(get, web_server, f"{path}/queue?wait_seconds=60", bearer=guest.secret)
        eventually(lambda: asked(guest))
        post(web_server, f"{path}/credentials/{number}/revoke", bearer=guest.secret)
        guest.submit_over_grpc("hostname")

    assert waits.result().status == 401


def test_no_more_calls_wait_than_there_are_threads_for(agent: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_poll, "_MAY_WAIT", long_poll.threading.BoundedSemaphore(1))
    long_poll._MAY_WAIT.acquire()
    began = time.monotonic()

    assert agent.get("clusters/alpha/queue?wait_seconds=60").json()["jobs"] == []

    assert time.monotonic() - began < 60, "it did not wait"


def asked(guest) -> bool:
    detail = get(guest.server, f"/api/v1/clusters/{guest.name}", bearer=guest.secret).json
    return detail["last_asked_at"] is not None
