"""Whatever a client sends: under /api/ the answer is a problem document (RFC 9457), and never a 500."""

import json
import time
from typing import Any

import pytest
from django.db import OperationalError

from jobs.rest import jobs
from rainbow_site.web.rest.parsers import MAX_BODY_BYTES, MAX_VALUES
from tests.conftest import Member
from tests.support.rest import Rest, fields_at_fault, problem_in, puller, submitter
from tests.support.servers import RainbowServer
from tests.support.web import Reply, call, get, registered

pytestmark = pytest.mark.django_db

NO_JSON = [
    b"{",
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"command": "x", "nodes": ' + b"9" * 5000 + b"}",
    b'{"command": "x", "nodes": NaN}',
    b'{"command": "x", "nodes": 1e999}',
    b'{"command": "\\ud800"}',
    b'{"command": "x", "on_lost": "\\ud800"}',
    b'{"command": "x", "environment": {"\\udfff": "1"}}',
    b'{"command": "x", "\\ud800": 1}',
    b'{"command": "x\\u0000"}',
    b'{"command": "x", "labels": {"a": "\\u0000"}}',
    b'{"command": "x", "labels": {"\\u0000": "a"}}',
    b'{"command": "x", "name": "\\u0000"}',
    b"null",
    b"[]",
    b'"text"',
    b"7",
]


@pytest.mark.parametrize("body", NO_JSON)
@pytest.mark.parametrize("path", ["jobs", "jobs/batch"])
def test_a_body_that_makes_no_sense_is_the_clients_fault(alpha: Member, path: str, body: bytes) -> None:
    response = submitter(alpha).post_bytes(path, body)

    assert response.status_code == 400
    problem_in(response)


@pytest.mark.parametrize("path", ["jobs", "clusters/alpha/queue", "clusters/alpha/events"])
def test_an_unknown_query_parameter_is_named(alpha: Member, path: str) -> None:
    refused = puller(alpha).get(f"{path}?colour=red")

    assert refused.status_code == 400
    assert problem_in(refused)["errors"] == [{"field": "colour", "detail": "unknown query parameter"}]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("jobs", {"command": "hostname", "colour": "red"}, "colour"),
        ("jobs/batch", {"jobs": [{"command": "hostname", "colour": "red"}]}, "jobs.0.colour"),
    ],
)
def test_an_unknown_field_of_a_body_is_named(alpha: Member, path: str, body: dict[str, Any], field: str) -> None:
    refused = submitter(alpha).post(path, body)

    assert refused.status_code == 400
    assert problem_in(refused)["errors"] == [{"field": field, "detail": "unknown field"}]


def test_a_pair_of_surrogates_is_a_character_like_others(alpha: Member) -> None:
    response = submitter(alpha).post_bytes("jobs", b'{"command": "echo \\ud83c\\udf08"}')

    assert submitter(alpha).get(f"jobs/{response.json()['id']}").json()["command"] == "echo 🌈"


def test_a_body_may_have_eight_megabytes(alpha: Member) -> None:
    blank = b" " * (MAX_BODY_BYTES - 30)

    fits = submitter(alpha).post_bytes("jobs", blank + b'{"command": "hostname"}')
    large = submitter(alpha).post_bytes("jobs", blank + b'{"command": "hostname"}' + b" " * 30)

    assert fits.status_code == 201
    assert large.status_code == 413
    assert problem_in(large)["detail"] == "the body must be at most 8,388,608 bytes"


@pytest.mark.parametrize("body", [b"{},", b"[],", b"1,", b'"a":1,', b'"",'])
def test_a_body_of_many_values_is_refused_before_it_is_read(alpha: Member, body: bytes) -> None:
    """They would take a hundred times the room of the body, and seconds each to be checked."""
    many = body * (MAX_VALUES + 1)

    refused = submitter(alpha).post_bytes("jobs/batch", b'{"jobs": [' + many + b"0]}")

    assert refused.status_code == 413
    assert problem_in(refused)["detail"] == "the body must hold at most 400,000 values"


@pytest.mark.parametrize("mark", [",", "[", "{", '"', "\\", '",{'])
def test_marks_in_texts_are_no_values(alpha: Member, mark: str) -> None:
    command = json.dumps("echo " + mark * (60_000 // len(mark)))
    jobs = ",".join([f'{{"command": {command}, "name": "a,b{{"}}'] * 20)

    answer = submitter(alpha).post_bytes("jobs/batch", f'{{"jobs": [{jobs}]}}'.encode())

    assert answer.status_code == 200
    assert not [item["error"] for item in answer.json()["results"] if item["error"]]


def test_a_text_that_does_not_end_is_looked_at_once(alpha: Member) -> None:
    """Else the time would grow with the square of its length."""
    began = time.process_time()

    answer = submitter(alpha).post_bytes("jobs", b'["' + rb"\"," * 2_500_000)

    assert answer.status_code == 400
    assert time.process_time() - began < 20


def test_only_so_many_mistakes_are_told(alpha: Member) -> None:
    wrong = {f"word{number}": 1 for number in range(1_000)}

    one = submitter(alpha).post("jobs", {"command": "hostname", **wrong})
    many = submitter(alpha).post("jobs/batch", {"jobs": [{"command": "hostname", "what": 1}] * 1_000})

    assert len(problem_in(one)["errors"]) == len(problem_in(many)["errors"]) == 100


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"])
def test_only_json_is_taken(alpha: Member, media_type: str) -> None:
    response = submitter(alpha).post_bytes("jobs", b"command=hostname", media_type)

    assert response.status_code == 415
    problem_in(response)


def test_only_json_and_pages_are_given(alpha: Member) -> None:
    response = submitter(alpha).get("jobs", Accept="text/csv")

    assert response.status_code == 406
    problem_in(response)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_told_which_there_are(alpha: Member, method: str) -> None:
    guest = submitter(alpha)

    response = guest.client.generic(method, "/api/v1/jobs", headers=guest.headers)

    assert response.status_code == 405
    assert set(response["Allow"].split(", ")) >= {"GET", "POST"}
    problem_in(response)


@pytest.mark.parametrize("method", ["get", "post", "delete"])
@pytest.mark.parametrize(
    "path", ["", "x", "v1/", "v1/jobs/", "v1/jobs/x", "v1/jobs/%0A/cancel", "v1/clusters/-", "%FF"]
)
def test_where_nothing_is_every_method_says_so(db: None, method: str, path: str) -> None:
    client = Rest().client
    client.handler.enforce_csrf_checks = True

    response = getattr(client, method)(f"/api/{path}")

    assert response.status_code == 404
    assert "/api/docs/" in problem_in(response)["detail"]


def test_a_query_of_too_many_parts_is_refused(alpha: Member) -> None:
    response = submitter(alpha).get("jobs?" + "&".join(["label=a%3Db"] * 1001))

    assert response.status_code == 400
    problem_in(response)


@pytest.mark.parametrize("path", ["jobs", "clusters", "clusters/alpha/queue"])
def test_another_host_is_a_problem_too(alpha: Member, path: str) -> None:
    response = puller(alpha).get(path, Host="evil.example.org")

    assert response.status_code == 400
    problem_in(response)


def test_a_database_that_does_not_answer_asks_to_come_back(alpha: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "find_ids", raises(OperationalError("SELECT secret FROM jobs")))

    response = submitter(alpha).get("jobs")

    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert problem_in(response)["detail"] == "the database does not answer now; try again"


def test_a_failure_that_nobody_expected_tells_only_the_log(
    alpha: Member, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "find_ids", raises(RuntimeError("SELECT secret FROM jobs")))

    response = submitter(alpha).get("jobs")

    assert response.status_code == 500
    assert "secret" not in response.content.decode()
    problem_in(response)
    assert "SELECT secret" in caplog.text


def test_several_mistakes_are_told_at_once(alpha: Member) -> None:
    response = submitter(alpha).post("jobs", {"nodes": 0, "tasks": -1, "labels": 7})

    assert fields_at_fault(response) == ["command", "nodes", "tasks", "labels"]


@pytest.mark.parametrize("charset", ["hex", "rot13", "utf-16", "unicode_escape", "undefined", "nonsense", '"utf-8"'])
def test_a_charset_that_a_header_claims_changes_nothing(web_server: RainbowServer, charset: str) -> None:
    guest = registered(web_server)
    headers = {"Authorization": f"Bearer {guest.token}", "Content-Type": f"application/json; charset={charset}"}

    listed = call(web_server, "GET", "/api/v1/jobs?name=%C3%BC", headers=headers)
    submitted = call(web_server, "POST", "/api/v1/jobs", body='{"command": "ü"}'.encode(), headers=headers)

    assert listed.json["results"] == []
    assert get(web_server, f"/api/v1/jobs/{submitted.json['id']}", bearer=guest.token).json["command"] == "ü"


def test_a_body_in_chunks_arrives_whole(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    headers = {
        "Authorization": f"Bearer {guest.token}",
        "Transfer-Encoding": "chunked",
        "Content-Type": "application/json",
    }
    body = b'b\r\n{"command":\r\nd\r\n "in pieces"}\r\n0\r\n\r\n'

    response = call(web_server, "POST", "/api/v1/jobs", body=body, headers=headers)

    assert response.status == 201
    assert get(web_server, f"/api/v1/jobs/{response.json['id']}", bearer=guest.token).json["command"] == "in pieces"


def test_many_labels_fit_a_request(web_server: RainbowServer) -> None:
    guest = registered(web_server)
    query = "&".join(f"label=key{number}%3D{'v' * 220}" for number in range(32))

    assert get(web_server, f"/api/v1/jobs?{query}", bearer=guest.token).status == 200


def problem_of(reply: Reply) -> dict[str, Any]:
    assert reply.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(reply.body)
    assert document["status"] == reply.status
    return document


def raises(error: Exception) -> Any:
    def fail(**options: Any) -> None:
        raise error

    return fail
