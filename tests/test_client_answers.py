"""What the client sends along, and what it makes of answers and failures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from rainbow.client import Client
from rainbow.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RainbowError,
    Unauthenticated,
    Unavailable,
)
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import CredentialKind, JobSpec, Registration
from tests.support.certificates import make_certificate
from tests.support.rehearsed import Clock, Rehearse, rehearsed_server

QUEUED = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS, position=1)
ACCEPTED = pb.AcceptJobsResponse(
    status=pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS, accepted=[pb.AcceptedJob(jobid=7, attempt=1)]
)
HOSTNAME = JobSpec(command="hostname")


# Credentials


def test_the_calls_of_the_extension_carry_their_credential_in_the_metadata(rehearse: Rehearse) -> None:
    rotated = pb.RotateCredentialResponse(credential="new", kind=pb.CREDENTIAL_KIND_TOKEN)
    server, client = rehearse(
        pb.SubmitJobsResponse(results=[pb.SubmitResult(jobid=1)]),
        pb.ListJobsResponse(),
        pb.GetJobsResponse(missing=[1]),
        pb.CancelJobsResponse(results=[pb.CancelResult(jobid=1)]),
        pb.SummarizeJobsResponse(),
        rotated,
    )

    client.submit_jobs([HOSTNAME])
    list(client.list_jobs())
    client.get_jobs([1])
    client.cancel_jobs([1])
    client.summarize_jobs()
    client.rotate_credential(CredentialKind.TOKEN)

    carried = [metadata["authorization"] for metadata in server.metadata]
    assert carried == ["Bearer the-token"] * 5 + ["Bearer the-secret"]


def test_the_published_calls_carry_theirs_as_they_always_did(rehearse: Rehearse) -> None:
    server, client = rehearse(QUEUED, pb.RequestJobsResponse(), ACCEPTED)

    client.submit_job(HOSTNAME)
    client.request_jobs()
    client.accept_jobs([7])

    submit, request, accept = server.asked
    assert (submit.token, request.secret, accept.secret) == ("the-token", "the-secret", "the-secret")
    assert not any("authorization" in metadata for metadata in server.metadata)


def test_without_a_token_jobs_are_looked_at_with_the_secret(rehearse: Rehearse) -> None:
    server, client = rehearse(pb.SummarizeJobsResponse(), token="")

    client.summarize_jobs()

    assert server.metadata[0]["authorization"] == "Bearer the-secret"


def test_a_credential_that_metadata_cannot_carry_is_refused(rehearse: Rehearse) -> None:
    _, client = rehearse(token="naïve\n")

    with pytest.raises(InvalidArgument, match="printable ASCII"):
        client.summarize_jobs()


def test_nothing_that_holds_a_credential_shows_it() -> None:
    assert "hush" not in repr(Registration(cluster="keebler", token="hush", secret="hush"))
    assert "hush" not in repr(Client(token="hush", secret="hush"))


# Answers and failures


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, FailedPrecondition),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
    ],
)
def test_a_status_code_becomes_its_exception(
    rehearse: Rehearse, code: grpc.StatusCode, error: type[RainbowError]
) -> None:
    _, client = rehearse(code)

    with pytest.raises(error, match=r"^as rehearsed$"):
        client.serial()


def test_a_code_that_nobody_expects_is_named(rehearse: Rehearse) -> None:
    _, client = rehearse(grpc.StatusCode.DATA_LOSS)

    with pytest.raises(RainbowError, match=r"as rehearsed \(DATA_LOSS\)"):
        client.serial()


@pytest.mark.parametrize("details", ["must be from 1", "nodes: must be from 1"])
def test_the_field_at_fault_comes_along(rehearse: Rehearse, details: str) -> None:
    def refuse(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata([("rainbow-field", "nodes")])
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, details)

    _, client = rehearse(refuse)

    with pytest.raises(InvalidArgument) as caught:
        client.submit_job(HOSTNAME)

    assert (caught.value.field, str(caught.value)) == ("nodes", "nodes: must be from 1")


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        (pb.SubmitJobResponse(status=2), lambda client: client.submit_job(HOSTNAME)),
        (pb.SubmitJobsResponse(), lambda client: client.submit_jobs([HOSTNAME])),
        (pb.RegisterResponse(), lambda client: client.register("keebler", registration_secret="open")),
        (pb.RequestJobsResponse(status=2), lambda client: client.request_jobs()),
        (pb.AcceptJobsResponse(), lambda client: client.accept_jobs([1])),
        (pb.GetJobsResponse(remaining=[1]), lambda client: client.get_jobs([1])),
        (pb.RotateCredentialResponse(), lambda client: client.rotate_credential(CredentialKind.TOKEN)),
    ],
    ids=[
        "submit failed",
        "a result is missing",
        "register says nothing",
        "request failed",
        "accept says nothing",
        "no progress",
        "no kind",
    ],
)
def test_an_answer_that_makes_no_sense_is_an_expected_failure(
    rehearse: Rehearse, answer: Any, call: Callable[[Client], object]
) -> None:
    _, client = rehearse(answer)

    with pytest.raises(RainbowError, match="does not understand"):
        call(client)


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec(command="hostname", nodes=2**31),
        JobSpec(command="hostname", name="\udcff"),
        JobSpec(command="hostname", labels={"a": "\udcff"}),
        JobSpec(command="hostname", tasks="four"),  # type: ignore[arg-type]
    ],
    ids=["not 32 bits", "not UTF-8", "a label that is not UTF-8", "not a number"],
)
def test_what_the_wire_cannot_carry_is_refused_before_it_is_sent(rehearse: Rehearse, spec: JobSpec) -> None:
    server, client = rehearse()

    with pytest.raises(InvalidArgument, match="cannot be sent"):
        client.submit_job(spec)
    with pytest.raises(InvalidArgument, match="cannot be sent"):
        client.submit_jobs([spec])

    assert not server.asked


def test_waiting_jobs_come_in_the_order_of_the_queue(rehearse: Rehearse) -> None:
    lines = {jobid: _line(jobid) for jobid in (1, 2, 3)}
    _, client = rehearse(
        pb.RequestJobsResponse(status=1, jobs=lines, jobids=[3, 1, 2]),
        pb.RequestJobsResponse(status=1, jobs=lines),
    )

    told, untold = client.request_jobs(), client.request_jobs()

    assert [job.id for job in told.jobs] == [3, 1, 2]
    assert [job.id for job in untold.jobs] == [1, 2, 3]


def test_a_field_that_a_newer_server_adds_to_a_job_is_passed_over(rehearse: Rehearse) -> None:
    _, client = rehearse(pb.RequestJobsResponse(status=1, jobs={1: _line(1, colour="red", priority=5)}))

    waiting = client.request_jobs()

    assert waiting.jobs[0].priority == 5


def test_jobs_that_did_not_fit_one_answer_are_asked_for_again(rehearse: Rehearse) -> None:
    server, client = rehearse(
        pb.GetJobsResponse(jobs=[pb.Job(id=1)], remaining=[2, 3]),
        pb.GetJobsResponse(jobs=[pb.Job(id=2)], missing=[3]),
    )

    found = client.get_jobs([1, 2, 3])

    assert [job.id for job in found.jobs] == [1, 2]
    assert found.missing == (3,)
    assert [list(request.jobids) for request in server.asked] == [[1, 2, 3], [2, 3]]


def test_more_ids_than_one_call_takes_are_looked_up_in_several(rehearse: Rehearse) -> None:
    ids = list(range(1, 1501))
    server, client = rehearse(pb.GetJobsResponse(missing=ids[:1000]), pb.GetJobsResponse(missing=ids[1000:]))

    found = client.get_jobs(ids)

    assert list(found.missing) == ids
    assert [len(request.jobids) for request in server.asked] == [1000, 500]


def test_pages_are_fetched_as_they_are_needed(rehearse: Rehearse) -> None:
    server, client = rehearse(
        pb.ListJobsResponse(jobs=[pb.Job(id=3), pb.Job(id=2)], next_page_token="on"),
        pb.ListJobsResponse(jobs=[pb.Job(id=1)]),
    )

    jobs = client.list_jobs(page_size=2)
    first = next(jobs)
    pages_after_the_first = len(server.asked)

    assert (first.id, pages_after_the_first) == (3, 1)
    assert [job.id for job in jobs] == [2, 1]
    assert [request.page_token for request in server.asked] == ["", "on"]


def _line(jobid: int, **more: object) -> str:
    plain = {"id": jobid, "cluster": "keebler", "name": "n", "nodes": 1, "tasks": 0, "command": "hostname"}
    return json.dumps({**plain, **more})


# Encryption


def test_a_certificate_that_is_trusted_opens_an_encrypted_connection(tmp_path: Path) -> None:
    credentials = _certificate(tmp_path)

    with (
        rehearsed_server(pb.Response(request_id="x"), credentials=credentials) as server,
        Client(server.address, ca_file=tmp_path / "cert.pem") as client,
    ):
        echo = client.serial("x")

    assert echo.request_id == "x"


def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path, clock: Clock) -> None:
    credentials = _certificate(tmp_path)

    with (
        rehearsed_server(pb.Response(), credentials=credentials) as server,
        Client(server.address, tls=True, retries=clock.retries()) as client,
        pytest.raises(Unavailable, match=r"cannot be reached: its certificate is not trusted \(self[ -]signed"),
    ):
        client.serial()

    assert not server.asked


def test_a_certificate_for_another_name_is_refused(tmp_path: Path, clock: Clock) -> None:
    credentials = _certificate(tmp_path, names="DNS:elsewhere")

    with (
        rehearsed_server(pb.Response(), credentials=credentials) as server,
        Client(server.address, ca_file=tmp_path / "cert.pem", retries=clock.retries()) as client,
        pytest.raises(Unavailable, match="its certificate is for another name"),
    ):
        client.serial()

    assert not server.asked


def test_whether_the_server_speaks_tls_is_said(tmp_path: Path, clock: Clock) -> None:
    with (
        rehearsed_server(pb.Response()) as server,
        Client(server.address, tls=True, retries=clock.retries()) as client,
        pytest.raises(Unavailable, match="it does not speak TLS"),
    ):
        client.serial()
    with (
        rehearsed_server(pb.Response(), credentials=_certificate(tmp_path)) as server,
        Client(server.address, retries=clock.retries()) as client,
        pytest.raises(Unavailable, match="perhaps it speaks only TLS"),
    ):
        client.serial()


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of a certificate")

    with pytest.raises(InvalidArgument, match=r"ca_file: .*notes.txt holds no certificates in PEM"):
        Client(ca_file=tmp_path / "notes.txt")


def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"cannot read .*none.pem: no such file"):
        Client(ca_file=tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("cert", "key", "complaint"),
    [
        ("cert.pem", None, "key_file: must be named too, because cert_file is"),
        (None, "key.pem", "cert_file: must be named too, because key_file is"),
        ("none.pem", "key.pem", "cert_file: cannot read none.pem: no such file"),
        ("key.pem", "cert.pem", "cert_file: key.pem and cert.pem are not a certificate and its private key"),
    ],
)
def test_what_is_wrong_with_a_client_certificate_is_named(
    cert: str | None, key: str | None, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificate(tmp_path)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidArgument, match=complaint):
        Client(cert_file=cert, key_file=key)


def _certificate(folder: Path, **options: str) -> grpc.ServerCredentials:
    certificate, key = make_certificate(folder, **options)
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
