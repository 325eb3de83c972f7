"""What the web server writes into its log, and what it shouts."""

import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.console import signed_in
from tests.support.people import signed_in_at
from tests.support.persons import token_of_person
from tests.support.servers import RainbowServer
from tests.support.web import call, get, registered
from tests.support.wire import PATIENCE_SECONDS, bearer, connected, joined

DEBUG = "RAINBOW_DEBUG is on: error pages show"


def lines_about(server: RainbowServer, path: str, *, host: str) -> list[str]:
    """What the server wrote about a request: other requests and processes may write of theirs late."""
    before, request_id = len(server.log.read_text()), uuid.uuid4().hex
    call(server, "GET", path, headers={"Host": host, "X-Request-ID": request_id})
    lines = server.log_with(rf" status=400 .*request_id={request_id}\n")[before:].splitlines()
    return [line for line in lines if " INFO " not in line or request_id in line]


@pytest.mark.parametrize("host", ["evil.example.org", "a b", "x" * 2_000])
@pytest.mark.parametrize("path", ["/admin/", "/api/v1/jobs"])
def test_a_wrong_host_takes_one_short_line_beside_the_requests_own(
    web_server: RainbowServer, path: str, host: str
) -> None:
    lines = lines_about(web_server, path, host=host)

    assert len(lines) == 2, lines
    assert "ERROR Invalid HTTP_HOST header: " in lines[0] and host[:100] in lines[0]
    assert len(lines[0]) < 400
    assert "status=400" in lines[1]


def test_a_wrong_host_names_the_setting(web_server: RainbowServer) -> None:
    lines = lines_about(web_server, "/admin/", host="rainbow.example.org")

    assert "You may need to add 'rainbow.example.org' to RAINBOW_ALLOWED_HOSTS." in lines[0]


def test_a_server_in_debug_mode_shouts(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(with_web=True, environment={"RAINBOW_DEBUG": "1"})

    assert f"WARNING {DEBUG}" in server.log.read_text()
    assert b"RAINBOW_DEBUG is on" in get(server, "/admin/login/").body


def test_every_page_says_that_debug_mode_is_on(alpha: Any, now: datetime, settings: Any) -> None:
    client = signed_in("vera", "viewers")
    pages = ["/admin/", "/admin/jobs/job/", f"/admin/clusters/cluster/{alpha.cluster.id}/change/", "/admin/jobs/job/9/"]

    settings.DEBUG = True
    assert [DEBUG in client.get(page, follow=True).content.decode() for page in pages[:3]] == [True] * 3
    settings.DEBUG = False
    assert [DEBUG in client.get(page, follow=True).content.decode() for page in pages] == [False] * 4


def test_a_quiet_server_does_not_shout(web_server: RainbowServer) -> None:
    assert DEBUG not in Path(web_server.log).read_text()


def test_an_operators_reads_with_a_secret_that_they_made_lead_back_to_them(
    start_server: Callable[..., RainbowServer],
) -> None:
    """They may not see what jobs run; a secret that they make for themselves may."""
    server = start_server(with_web=True)
    member = registered(server)
    job = member.submit_over_grpc("secret-command")
    ada = signed_in_at(server, "ada", "viewers", permissions=("manage_credential",))
    path = f"/api/v1/clusters/{member.name}/credentials"

    assert ada.get(f"/api/v1/jobs/{job}")["command"] is None
    spy = ada.post(path, {"kind": "secret", "label": "spy"})
    over_http = get(server, f"/api/v1/jobs/{job}", bearer=spy["value"]).json
    with connected(server.address) as stub:
        request = pb.GetJobsRequest(cluster=member.name, jobids=[job])
        over_grpc = stub.GetJobs(request, metadata=bearer(spy["value"]), timeout=PATIENCE_SECONDS).jobs[0]
    ada.post(f"{path}/{spy['id']}/revoke", {})

    assert over_http["command"] == over_grpc.command == "secret-command"
    whose = rf"cluster={member.name} credential={spy['id']} issued_by='ada'"
    log = server.log_with(
        rf"INFO GET /api/v1/jobs/{job} user='ada' status=200",
        rf"INFO POST {path} user='ada' peer=127.0.0.1 status=201",
        rf"INFO GET /api/v1/jobs/{job} {whose} status=200",
        rf"INFO GetJobs {whose} code=OK",
        rf"INFO POST {path}/{spy['id']}/revoke user='ada' peer=127.0.0.1 status=200",
    )
    assert spy["value"] not in log
    events = get(server, f"/api/v1/clusters/{member.name}/events", bearer=member.secret).json["results"]
    assert [(event["what"], event["who"]) for event in events[:2]] == [
        ("credential_revoked", "ada"),
        ("credential_made", "ada"),
    ]


def test_who_rotated_over_grpc_and_from_where_is_in_the_log(server: RainbowServer) -> None:
    request = pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_TOKEN)
    with joined(server) as member:
        member.stub.RotateCredential(request, metadata=member.by_secret, timeout=PATIENCE_SECONDS)

    server.log_with(rf"INFO RotateCredential cluster={member.name} .*peer=ipv4:127.0.0.1:\d+")


def test_the_lines_of_a_persons_calls_name_the_person(web_server: RainbowServer) -> None:
    cluster = registered(web_server).name
    token = token_of_person(web_server, "noor", cluster)
    with connected(web_server.address) as stub:
        wanted = pb.SubmitJobRequest(cluster=cluster, token=token, nodes=1, command="hostname")
        stub.SubmitJob(wanted, timeout=PATIENCE_SECONDS)
    get(web_server, "/api/v1/me", bearer=token)

    web_server.log_with(r"SubmitJob .*user='noor'", r"/api/v1/me .*user='noor'")
