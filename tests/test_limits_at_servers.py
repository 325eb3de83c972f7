"""Sixteen submit, or accept, at once to real servers, to two of them where the database is PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from django.db import connection

from rainbow.client import Client
from rainbow.errors import LimitReached, ResourceExhausted
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec
from rainbow.telemetry import request_ids
from tests.support.patience import PATIENCE_SECONDS
from tests.support.persons import token_of_person
from tests.support.rows import count as count_rows
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wire import connected

LIMITS = {"RAINBOW_PERSON_WAITING": "40"}


def test_not_one_too_many_is_queued_and_each_refusal_says_why_and_when(
    start_server: Callable[..., RainbowServer],
) -> None:
    servers = [start_server(environment=LIMITS)]
    if connection.vendor == "postgresql":
        servers.append(start_server(database_url=servers[0].database_url, environment=LIMITS))
    with Client(servers[0].address) as stranger:
        stranger.register("keebler", registration_secret=servers[0].registration_secret)
    token = token_of_person(servers[0], "ada", "keebler")

    def submit(number: int) -> int:
        """One after another, and several together."""
        with _client(servers[number % len(servers)], token=token) as client:
            alone = [_is_taken(client) for _ in range(3)]
            together = client.submit_jobs(JobSpec(command="hostname") for _ in range(3))
            return sum(alone) + sum(bool(result.jobid) for result in together.results)

    with ThreadPoolExecutor(16) as pool:
        taken = sum(pool.map(submit, range(16), timeout=PATIENCE_SECONDS))

    assert taken == 40
    assert count_rows(servers[0].database_url, "jobs_job") == (40,)
    error = _refusal(servers[-1], token)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "person ada has 40 of the 40 waiting jobs" in str(error.details())
    assert int(dict(error.trailing_metadata())["retry-after"]) >= 1
    with Client(servers[-1].address, cluster="keebler", token=token) as ada:
        with pytest.raises(LimitReached) as caught:
            ada.submit_job(JobSpec(command="hostname"))
        of_many = ada.submit_jobs([JobSpec(command="hostname")]).results[0].error
    assert isinstance(of_many, LimitReached)
    assert min(caught.value.retry_after_seconds, of_many.retry_after_seconds) >= 1


def test_not_one_too_many_is_held_and_each_refusal_says_whose_limit_it_is(
    start_server: Callable[..., RainbowServer],
) -> None:
    limits = {"RAINBOW_PERSON_HELD": "20"}
    servers = [start_server(environment=limits)]
    if connection.vendor == "postgresql":
        servers.append(start_server(database_url=servers[0].database_url, environment=limits))
    with Client(servers[0].address) as stranger:
        secret = stranger.register("keebler", registration_secret=servers[0].registration_secret).secret
    token = token_of_person(servers[0], "ada", "keebler")
    with Client(servers[0].address, cluster="keebler", token=token) as ada:
        made = ada.submit_jobs(JobSpec(command="hostname") for _ in range(64))
    job_ids = [result.jobid for result in made.results]

    def accept(number: int) -> tuple[int, set[str]]:
        """Four of their own, in one call and one by one, in an order of their own."""
        own = sorted(job_ids[number::16], reverse=number % 2 == 0)
        with _client(servers[number % len(servers)], secret=secret) as client:
            answers = [client.accept_jobs(some, agent=f"agent-{number}") for some in (own[:2], own[2:3], own[3:])]
        accepted = sum(len(answer.accepted) for answer in answers)
        return accepted, {refused.message for answer in answers for refused in answer.refused}

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(accept, range(16), timeout=PATIENCE_SECONDS))

    assert sum(accepted for accepted, _ in answers) == 20
    held = "SELECT held FROM clusters_allowance WHERE kind = 'person'"
    assert execute(servers[0].database_url, held) == [(20,)]
    assert set[str]().union(*(said for _, said in answers)) == {"person ada holds 20 of the 20 jobs that it may"}


def _client(server: RainbowServer, **credential: str) -> Client:
    return Client(server.address, cluster="keebler", timeout_seconds=PATIENCE_SECONDS, **credential)


def _is_taken(client: Client) -> bool:
    try:
        return bool(client.submit_job(JobSpec(command="hostname")).jobid)
    except ResourceExhausted:
        return False


def _refusal(server: RainbowServer, token: str) -> grpc.RpcError:
    request = pb.SubmitJobRequest(cluster="keebler", token=token, name="id", command="id", nodes=1)
    with connected(server.address) as stub, pytest.raises(grpc.RpcError) as caught:
        stub.SubmitJob(request, timeout=PATIENCE_SECONDS, metadata=[(request_ids.KEY, "a-request")])
    return caught.value
