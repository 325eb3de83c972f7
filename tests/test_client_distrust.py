"""What the client makes of a server's answers that break the protocol: an expected failure, whatever they hold."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from rainbow import translation
from rainbow.client import Client
from rainbow.errors import RainbowError, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import CredentialKind
from rainbow.terminal.following import step_of
from tests.support.commandline import Run
from tests.support.rehearsed import SERVICE, Rehearse

NEVER = Timestamp(seconds=2**62)
SO_EARLY = Timestamp(seconds=-62_135_596_800)
REGISTERED = pb.RegisterResponse.REGISTER_SUCCESS
ACCEPTED = pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS

ANSWERS: dict[str, tuple[Any, Callable[[Client], object]]] = {
    "another job": (pb.GetJobsResponse(jobs=[pb.Job(id=2)]), lambda client: client.get_jobs([1])),
    "a job twice": (pb.GetJobsResponse(jobs=[pb.Job(id=1), pb.Job(id=1)]), lambda client: client.get_jobs([1])),
    "there and missing": (pb.GetJobsResponse(jobs=[pb.Job(id=1)], missing=[1]), lambda client: client.get_jobs([1])),
    "more to ask for": (pb.GetJobsResponse(missing=[1], remaining=[2]), lambda client: client.get_jobs([1])),
    "nothing, for ever": (pb.GetJobsResponse(remaining=[1]), lambda client: client.get_jobs([1])),
    "a list upwards": (
        pb.ListJobsResponse(jobs=[pb.Job(id=1), pb.Job(id=2)]),
        lambda client: list(client.list_jobs()),
    ),
    "a page of nothing": (pb.ListJobsResponse(next_page_token="on"), lambda client: list(client.list_jobs())),
    "an id of nobody": (pb.ListJobsResponse(jobs=[pb.Job(id=-1)]), lambda client: list(client.list_jobs())),
    "a time that is none": (
        pb.ListJobsResponse(jobs=[pb.Job(id=1, submitted_at=NEVER)]),
        lambda client: list(client.list_jobs()),
    ),
    "a time before all zones": (
        pb.ListJobsResponse(jobs=[pb.Job(id=1, finished_at=SO_EARLY)]),
        lambda client: list(client.list_jobs()),
    ),
    "a time of an answer": (pb.Response(answered_at=NEVER), lambda client: client.serial()),
    "a time of a summary": (
        pb.SummarizeJobsResponse(oldest_submitted_at=NEVER),
        lambda client: client.summarize_jobs(),
    ),
    "a stranger's cancel": (
        pb.CancelJobsResponse(results=[pb.CancelResult(jobid=2)]),
        lambda client: client.cancel_jobs([1]),
    ),
    "no word of a cancel": (pb.CancelJobsResponse(), lambda client: client.cancel_jobs([1])),
    "a job that was not wanted": (
        pb.AcceptJobsResponse(status=ACCEPTED, accepted=[pb.AcceptedJob(jobid=2, attempt=1)]),
        lambda client: client.accept_jobs([1]),
    ),
    "a job given twice": (
        pb.AcceptJobsResponse(status=ACCEPTED, accepted=[pb.AcceptedJob(jobid=1, attempt=1)] * 2),
        lambda client: client.accept_jobs([1]),
    ),
    "no attempt": (
        pb.AcceptJobsResponse(status=ACCEPTED, accepted=[pb.AcceptedJob(jobid=1, attempt=-1)]),
        lambda client: client.accept_jobs([1]),
    ),
    "a lease until never": (
        pb.AcceptJobsResponse(status=ACCEPTED, accepted=[pb.AcceptedJob(jobid=1, attempt=1, lease_expires_at=NEVER)]),
        lambda client: client.accept_jobs([1]),
    ),
    "a refusal of another": (
        pb.AcceptJobsResponse(status=1, refused=[pb.RefusedJob(jobid=2)]),
        lambda client: client.accept_jobs([1]),
    ),
    "a token of two lines": (
        pb.RegisterResponse(status=REGISTERED, token="a\nb", secret="c"),
        lambda client: client.register("keebler", registration_secret="open"),
    ),
    "no secret": (
        pb.RegisterResponse(status=REGISTERED, token="a"),
        lambda client: client.register("keebler", registration_secret="open"),
    ),
    "a secret that drives terminals": (
        pb.RotateCredentialResponse(credential="\x1b[2J", kind=pb.CREDENTIAL_KIND_SECRET),
        lambda client: client.rotate_credential(CredentialKind.SECRET),
    ),
    "a token for a secret": (
        pb.RotateCredentialResponse(credential="x", kind=pb.CREDENTIAL_KIND_TOKEN),
        lambda client: client.rotate_credential(CredentialKind.SECRET),
    ),
    "a report of another": (
        pb.ReportJobsResponse(results=[pb.ReportResult(jobid=2)]),
        lambda client: client.report_jobs([], agent="login1"),
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_breaks_the_protocol_is_an_expected_failure(rehearse: Rehearse, answer: str) -> None:
    message, call = ANSWERS[answer]
    _, client = rehearse(message)

    with pytest.raises(RainbowError, match="does not understand"):
        call(client)


def test_a_list_that_turns_back_ends(rehearse: Rehearse) -> None:
    page = pb.ListJobsResponse(jobs=[pb.Job(id=2), pb.Job(id=1)], next_page_token="on")
    server, client = rehearse(*[page] * 3)

    with pytest.raises(RainbowError, match="from the newest to the oldest"):
        list(client.list_jobs())

    assert len(server.asked) == 2


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused() -> None:
    large = pb.Response(request_id="\0" * 64 * 1024 * 1024).SerializeToString()
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: large)
    options = [("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(1), compression=grpc.Compression.Gzip, options=options)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE.full_name, {"Serial": handler})])
    port = server.add_insecure_port("localhost:0")
    server.start()

    with (
        Client(f"localhost:{port}", timeout_seconds=120) as client,
        pytest.raises(RainbowError, match="it is too large"),
    ):
        client.serial()

    server.stop(None).wait()


# What is shown of a server's words


def _refuse(words: str) -> Callable[[grpc.ServicerContext], None]:
    def refuse(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, words)

    return refuse


def test_a_servers_words_are_one_line_without_control_characters(rehearse: Rehearse) -> None:
    _, client = rehearse(_refuse("denied\n\x1b[1A\x1b[2Ksudo: \u202eall is well"))

    with pytest.raises(Unauthenticated) as caught:
        client.serial()

    assert str(caught.value) == "denied\\n\\x1b[1A\\x1b[2Ksudo: \\u202eall is well"


def test_a_servers_words_are_no_longer_than_people_read(rehearse: Rehearse) -> None:
    _, client = rehearse(_refuse("x" * 5_000))

    with pytest.raises(Unauthenticated) as caught:
        client.serial()

    assert len(str(caught.value)) == 1_000


NASTY = "done\nJob 8: completed\x1b[2J"
_NASTY_CLUSTER = pb.Cluster(
    name=NASTY,
    paused=NASTY,
    facts=pb.Facts(
        values=[pb.Fact(name=NASTY, text=NASTY), pb.Fact(name="set", texts=[NASTY])],
        partitions=[pb.Partition(name=NASTY, features=[NASTY], gpus_per_node={NASTY: 1})],
    ),
)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (pb.CancelJobsResponse(results=[pb.CancelResult(jobid=7, outcome=1, message=NASTY)]), ["cancel", "7"]),
        (pb.SummarizeJobsResponse(cluster="keebler", paused=NASTY, not_ready=NASTY), ["summary"]),
        (pb.SummarizeJobsResponse(held_back=[pb.HeldToken(token="t", reason=NASTY)]), ["summary"]),
        (pb.ResumeClusterResponse(paused=NASTY, held_back=[pb.HeldToken(token=NASTY)]), ["resume"]),
        (pb.RequestJobsResponse(paused=NASTY), ["request"]),
        (pb.SubmitJobResponse(status=1, jobid=7, warning=NASTY), ["submit", "--", "true"]),
        (pb.GetJobsResponse(jobs=[pb.Job(id=7, name=NASTY, reason=NASTY, why_waiting=NASTY)]), ["job", "7"]),
        (pb.GetJobsResponse(jobs=[pb.Job(id=7, prospects=[pb.Prospect(cluster=NASTY, text=NASTY)])]), ["job", "7"]),
        (pb.ListJobsResponse(jobs=[pb.Job(id=7, name=NASTY, command=NASTY)]), ["jobs"]),
        (pb.ListClustersResponse(clusters=[pb.Cluster(name=NASTY, warning=NASTY)]), ["clusters"]),
        (pb.ListClustersResponse(clusters=[_NASTY_CLUSTER]), ["clusters", "keebler"]),
        (_refuse(NASTY), ["summary"]),
    ],
    ids=[
        "cancel",
        "summary",
        "held back",
        "resume",
        "request",
        "submit",
        "job",
        "prospects",
        "jobs",
        "clusters",
        "a cluster",
        "a refusal",
    ],
)
def test_no_words_of_a_server_pass_for_a_line_of_the_commands(
    stranger: Run, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch, message: Any, words: list[str]
) -> None:
    server, _ = rehearse(message)
    for name, value in (("HOST", server.address), ("TOKEN", "t"), ("SECRET", "s")):
        monkeypatch.setenv(f"RAINBOW_{name}", value)

    shown = stranger(*words).output

    assert "done\\nJob 8: completed\\x1b[2J" in shown
    assert not any(line.startswith("Job 8") for line in shown.splitlines())
    assert "\x1b" not in shown


def test_the_steps_of_a_job_are_a_line_each() -> None:
    job = translation.job(pb.Job(id=7, state=pb.JOB_STATE_FAILED, reason=NASTY))

    assert step_of(job).endswith("Job 7: failed: done\\nJob 8: completed\\x1b[2J")
    assert "\n" not in step_of(job)
