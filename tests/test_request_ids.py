"""A request id leads from a client's call through the server's log and errors to the events of jobs."""

import re
from typing import Any

import grpc
import pytest
from click.testing import Result

from rainbow.client import Client
from rainbow.errors import NotFound, RainbowError
from rainbow.protos import rainbow_pb2 as pb
from rainbow.telemetry.request_ids import calls_named, is_request_id, new_request_id, request_id_from
from tests.support.agent_cast import Hire
from tests.support.commandline import Run
from tests.support.people import signed_in_at
from tests.support.rehearsed import Rehearse
from tests.support.servers import RainbowServer
from tests.support.web import get, post, registered
from tests.support.wire import PATIENCE_SECONDS, Remote, bearer

KEY = "x-request-id"
HOSTILE = ["", "x" * 65, "a b", "a\tb", "a=b", "ünïcode", "x'y", '"', "../x:y", "rbt_" + "a" * 32, "x.rbs_y", "a;b"]


@pytest.mark.parametrize("text", HOSTILE)
def test_an_id_that_is_not_plain_is_replaced(text: str) -> None:
    assert not is_request_id(text)
    assert request_id_from(text) != request_id_from(text) != text
    assert is_request_id(request_id_from(text))


def test_a_plain_id_is_kept() -> None:
    for text in ("a", "x" * 64, "0190163d-8694-739b-aea5-966c26f8ad91", "Build.42_a", new_request_id()):
        assert request_id_from(text) == text
    assert is_request_id(request_id_from(None)) and is_request_id(request_id_from(b"raw"))


def failed(call: Any, request: Any, *metadata: tuple[str, str]) -> dict[str, Any]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, metadata=metadata, timeout=PATIENCE_SECONDS)
    return dict(caught.value.trailing_metadata() or ())  # type: ignore[attr-defined]


def test_a_refused_call_gets_its_id_back_and_only_a_client_that_sent_one(remote: Remote, server: RainbowServer) -> None:
    mine = new_request_id()
    by = bearer(remote.token)

    assert failed(remote.stub.ListJobs, pb.ListJobsRequest(page_token="x"), *by, (KEY, mine))[KEY] == mine
    assert KEY not in failed(remote.stub.ListJobs, pb.ListJobsRequest(page_token="x"), *by)
    made = failed(remote.stub.ListJobs, pb.ListJobsRequest(page_token="x"), *by, (KEY, "not a plain id"))[KEY]
    assert is_request_id(made)
    log = server.log_with(rf"ListJobs .*code=INVALID_ARGUMENT ms=[\d.]+ request_id={mine}\n", f"request_id={made}\n")
    assert "not a plain id" not in log


def test_the_events_of_a_job_name_the_calls_that_made_them(remote: Remote) -> None:
    ids = [new_request_id() for _ in range(3)]
    job_id = remote.stub.SubmitJob(remote.submission(), metadata=((KEY, ids[0]),), timeout=PATIENCE_SECONDS).jobid
    remote.stub.AcceptJobs(remote.acceptance(job_id, agent="a"), metadata=((KEY, ids[1]),), timeout=PATIENCE_SECONDS)
    request = pb.CancelJobsRequest(jobids=[job_id])
    remote.stub.CancelJobs(request, metadata=(*remote.by_secret, (KEY, ids[2])), timeout=PATIENCE_SECONDS)

    events = remote.job(job_id, with_events=True).events

    assert [(event.what, event.request_id) for event in events] == [
        ("submitted", ids[0]),
        ("accepted", ids[1]),
        ("cancel_requested", ids[2]),
    ]


def test_calls_that_share_a_commit_keep_their_own_ids(remote: Remote) -> None:
    ids = [new_request_id() for _ in range(40)]
    calls = [remote.stub.SubmitJob.future(remote.submission(), metadata=((KEY, one),), timeout=60) for one in ids]
    jobs = [call.result().jobid for call in calls]
    request = pb.SubmitJobsRequest(jobs=[pb.JobSpec(nodes=1, command="true")] * 20)
    many = remote.stub.SubmitJobs(request, metadata=(*remote.by_token, (KEY, "many")), timeout=60)

    assert [remote.job(job, with_events=True).events[0].request_id for job in jobs] == ids
    last = remote.job(many.results[-1].jobid, with_events=True)
    assert last.events[0].request_id == "many"


def test_rest_takes_answers_and_records_ids(web_server: RainbowServer) -> None:
    guest, mine = registered(web_server), new_request_id()

    made = post(web_server, "/api/v1/jobs", {"command": "true"}, bearer=guest.token, X_Request_ID=mine)
    refused = post(web_server, "/api/v1/jobs", {"nodes": 0}, bearer=guest.token, X_Request_ID="a b" + "x" * 99)
    events = get(web_server, f"/api/v1/jobs/{made.json['id']}/events", bearer=guest.token).json

    assert made.headers[KEY] == mine
    assert refused.status == 400 and is_request_id(refused.headers[KEY])
    assert [event["request_id"] for event in events] == [mine]
    web_server.log_with(
        rf"INFO POST /api/v1/jobs cluster={guest.name} .*status=201 ms=[\d.]+ request_id={mine}\n",
        f"request_id={refused.headers[KEY]}\n",
    )


def test_what_an_operator_does_has_its_id_on_the_page_and_over_rest(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    job = guest.submit_over_grpc("true")
    rita = signed_in_at(web_server, "rita", "operators")

    rita.post("/api/v1/jobs/cancel", {"ids": [job]})

    *_, cancelled = get(web_server, f"/api/v1/jobs/{job}/events", bearer=guest.token).json
    assert (cancelled["what"], cancelled["who"]) == ("cancelled", "rita")
    web_server.log_with(f"request_id={cancelled['request_id']}\n")
    assert f"<code>{cancelled['request_id']}</code>" in rita.page(f"/admin/jobs/job/{job}/change/")


def test_the_client_keeps_its_id_over_repetitions(rehearse: Rehearse) -> None:
    away = grpc.StatusCode.UNAVAILABLE
    server, client = rehearse(away, away, pb.Response(request_id="ping"), pb.Response(request_id="ping"))
    client.serial()
    client.serial()

    first, second, third, fourth = [metadata[KEY] for metadata in server.metadata]
    assert first == second == third != fourth
    assert is_request_id(first) and is_request_id(fourth)


def test_a_program_may_pass_its_own_id_on_and_failures_have_it(server: RainbowServer, remote: Remote) -> None:
    stranger = Client(server.address, cluster=remote.name, token="wrong")
    with stranger, calls_named("of-the-program"), pytest.raises(RainbowError) as caught:
        stranger.summarize_jobs()
    with Client(server.address, cluster=remote.name, token=remote.token) as client, calls_named("of-the-program"):
        jobs = client.get_jobs([2**31 - 1])

    assert not jobs.jobs
    assert caught.value.request_id == "of-the-program"
    assert NotFound("x").request_id == ""
    server.log_with(*(rf"{call} .*request_id=of-the-program\n" for call in ("SummarizeJobs", "GetJobs")))


def test_the_command_line_names_the_call_of_an_unexpected_failure(rehearse: Rehearse, rainbow: Run) -> None:
    server, _ = rehearse(grpc.StatusCode.INTERNAL)
    result: Result = rainbow("summary", "--host", server.address)

    (metadata,) = server.metadata
    assert result.exit_code == 1
    assert result.stderr == f"Error: as rehearsed (INTERNAL) (request {metadata[KEY]})\n"


def test_an_agents_lines_lead_to_the_servers(
    hire: Hire, server: RainbowServer, caplog: pytest.LogCaptureFixture
) -> None:
    agent = hire()
    caplog.set_level("DEBUG", logger="rainbow")
    job_id = agent.submit("true")
    agent.finish(job_id)

    (accepted,) = [message for message in caplog.messages if message.startswith(f"accepted jobs={job_id} ")]
    request_id = accepted.rpartition("request_id=")[2]
    server.log_with(rf"AcceptJobs .*request_id={request_id}\n")
    assert any(re.fullmatch(rf"AcceptJobs code=OK ms=[\d.]+ request_id={request_id}", one) for one in caplog.messages)
    assert any(message.startswith("ReportJobs code=OK ") for message in caplog.messages)
    events = agent.job(job_id, with_events=True).events
    assert [event.request_id for event in events if event.what == "accepted"] == [request_id]
