"""How the client repeats what found no server, and what it never repeats."""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

import grpc
import pytest

from rainbow.client import Client
from rainbow.errors import (
    DeadlineExceeded,
    Unavailable,
    Unreachable,
    Untouched,
)
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import CredentialKind, JobSpec, Registration
from rainbow.retries import Retries
from tests.support.ports import free_port
from tests.support.rehearsed import Clock, Rehearse, RehearsedServer, rehearsed_server

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
CANCELLED = grpc.StatusCode.CANCELLED  # by a server that stops, of calls that had not begun
QUEUED = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS, position=1)
ACCEPTED = pb.AcceptJobsResponse(
    status=pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS, accepted=[pb.AcceptedJob(jobid=7, attempt=1)]
)
REGISTERED = pb.RegisterResponse(status=pb.RegisterResponse.REGISTER_SUCCESS, token="t", secret="s")
HOSTNAME = JobSpec(command="hostname")


@pytest.mark.parametrize("code", [UNAVAILABLE, CANCELLED])
def test_a_submission_that_found_no_server_is_repeated_under_the_same_key(
    rehearse: Rehearse, code: grpc.StatusCode
) -> None:
    server, client = rehearse(code, code, QUEUED)

    job = client.submit_job(HOSTNAME)

    keys = {request.idempotency_key for request in server.asked}
    assert (job.jobid, len(server.asked), keys) == (7, 3, {job.idempotency_key})
    assert len(job.idempotency_key) == 32


def test_every_submission_gets_a_key_of_its_own_unless_the_caller_has_one(rehearse: Rehearse) -> None:
    server, client = rehearse(QUEUED, QUEUED, QUEUED)

    client.submit_job(HOSTNAME)
    client.submit_job(HOSTNAME)
    client.submit_job(JobSpec(command="hostname", idempotency_key="mine"))

    first, second, third = [request.idempotency_key for request in server.asked]
    assert first != second
    assert third == "mine"


def test_many_jobs_are_repeated_under_the_same_keys(rehearse: Rehearse) -> None:
    results = pb.SubmitJobsResponse(results=[pb.SubmitResult(jobid=1), pb.SubmitResult(jobid=2)])
    server, client = rehearse(UNAVAILABLE, results)

    client.submit_jobs([HOSTNAME, HOSTNAME])

    first, second = [[job.idempotency_key for job in request.jobs] for request in server.asked]
    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize("code", [UNAVAILABLE, CANCELLED])
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.register("keebler", registration_secret="open"),
        lambda client: client.accept_jobs([1]),
        lambda client: client.rotate_credential(CredentialKind.TOKEN),
    ],
    ids=["register", "accept without an agent", "rotate"],
)
def test_what_would_mislead_when_repeated_is_sent_once(
    rehearse: Rehearse, call: Callable[[Client], object], code: grpc.StatusCode
) -> None:
    server, client = rehearse(code)

    with pytest.raises(Unavailable, match="as rehearsed"):
        call(client)

    assert len(server.asked) == 1


def test_an_agent_repeats_its_accept(rehearse: Rehearse) -> None:
    server, client = rehearse(UNAVAILABLE, ACCEPTED)

    taken = client.accept_jobs([7], agent="login1", lease_seconds=60)

    assert [job.jobid for job in taken.accepted] == [7]
    assert [request.agent for request in server.asked] == ["login1", "login1"]


def test_what_never_left_is_sent_again_even_if_it_may_only_be_sent_once() -> None:
    address = f"localhost:{free_port()}"
    with ExitStack() as stack:
        started: list[RehearsedServer] = []

        def start_at_last(failure: Unavailable, seconds: float) -> None:
            if not started:
                started.append(stack.enter_context(rehearsed_server(REGISTERED, address=address)))

        client = stack.enter_context(Client(address, retries=Retries(on_pause=start_at_last)))
        new = client.register("keebler", registration_secret="open")

    assert new == Registration(cluster="keebler", token="t", secret="s")
    assert len(started[0].asked) == 1


def turned_away(context: grpc.ServicerContext) -> None:
    """As a server does that has too much to do, or no database."""
    context.set_trailing_metadata((("grpc-retry-pushback-ms", "3000"),))
    context.abort(UNAVAILABLE, "busy")


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda client: client.register("keebler", registration_secret="open"), REGISTERED),
        (lambda client: client.accept_jobs([7]), ACCEPTED),
        (lambda client: client.submit_job(HOSTNAME), QUEUED),
    ],
    ids=["register", "accept without an agent", "submit"],
)
def test_what_the_server_did_nothing_about_is_sent_again_when_the_server_wishes(
    rehearse: Rehearse, clock: Clock, call: Callable[[Client], object], answer: object
) -> None:
    server, client = rehearse(turned_away, turned_away, answer)

    assert call(client)

    assert len(server.asked) == 3
    assert all(3.0 <= pause <= 3.3 for pause in clock.pauses)


def test_a_server_that_goes_on_doing_nothing_is_told_apart_from_one_in_doubt(rehearse: Rehearse) -> None:
    server, client = rehearse(*[turned_away] * 9, timeout_seconds=10)

    with pytest.raises(Untouched, match="is not available: busy") as caught:
        client.register("keebler", registration_secret="open")

    assert not caught.value.may_be_done
    assert len(server.asked) == 4  # a fifth would be made when its 10 seconds are over


@pytest.mark.parametrize("pushback", ["-1", "soon", "", "9" * 400])
def test_a_pushback_that_is_none_is_a_failure_like_any_other(rehearse: Rehearse, pushback: str) -> None:
    def fail(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback),))
        context.abort(UNAVAILABLE, "busy")

    server, client = rehearse(fail)

    with pytest.raises(Unavailable, match="busy"):
        client.register("keebler", registration_secret="open")

    assert len(server.asked) == 1


def test_an_answer_that_comes_too_late_is_not_asked_for_again(rehearse: Rehearse) -> None:
    enough = Event()
    server, client = rehearse(lambda context: enough.wait(300) and QUEUED, QUEUED, timeout_seconds=5)

    with pytest.raises(DeadlineExceeded, match="did not answer in time"):
        client.submit_job(HOSTNAME)

    enough.set()
    assert len(server.asked) == 1


def test_a_server_that_stays_away_is_given_up_at_the_deadline(clock: Clock) -> None:
    client = Client(f"localhost:{free_port()}", timeout_seconds=10, retries=clock.retries())

    with client, pytest.raises(Unavailable, match="cannot be reached: Connection refused"):
        client.serial()

    assert 5 < clock.now <= 10


def test_pauses_double_up_to_a_limit_and_vary_at_random(clock: Clock) -> None:
    retries = clock.retries(jitter=lambda shortest, longest: longest)

    with pytest.raises(Unavailable):
        retries.run(_unavailable, deadline_seconds=8)

    assert clock.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_server_that_stays_away_is_asked_no_more_when_there_is_no_time_for_an_answer(clock: Clock) -> None:
    """Such an attempt would say that there was too little time, in place of why the others failed."""
    retries = clock.retries(first_pause_seconds=60, jitter=lambda shortest, longest: longest)
    client = Client(f"localhost:{free_port()}", timeout_seconds=60.05, retries=retries)

    with client, pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        client.serial()

    assert clock.pauses == []


def test_two_clients_do_not_pause_in_step() -> None:
    one, other = Clock(), Clock()

    for each in (one, other):
        with pytest.raises(Unavailable):
            each.retries().run(_unavailable, deadline_seconds=8)

    assert one.pauses != other.pauses
    assert all(0.05 <= pause <= 2 for pause in one.pauses + other.pauses)


def test_a_repeated_request_waits_no_longer_than_it_was_asked_to(rehearse: Rehearse, clock: Clock) -> None:
    server, client = rehearse(UNAVAILABLE, pb.RequestJobsResponse())
    client._connection._retries = clock.retries(jitter=lambda shortest, longest: 15.0)

    client.request_jobs(wait_seconds=30)

    assert [request.wait_seconds for request in server.asked] == [30, 15]


def _unavailable(left: float) -> None:
    raise Unavailable("away")
