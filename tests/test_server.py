"""The server as its operator sees it: how it starts, what it says, how it stops."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from django.db import connection
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.rows import count, execute
from tests.support.servers import MANAGE, RainbowServer, environment_for
from tests.support.wire import connected, joined, refusal_of, registration

NAME = "convergedcomputing.org.grpc.v1.RainbowScheduler"

StartServer = Callable[..., RainbowServer]


@pytest.fixture
def sqlite_only() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("is about the embedded database")


def grpcserver(database_url: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that is expected to refuse to serve."""
    command = [*MANAGE, "grpcserver", "--address", f"127.0.0.1:{free_port()}", *arguments]
    environment = environment_for(database_url, **settings)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("command", [["migrate", "contenttypes", "--verbosity=0"], ["showmigrations"]])
def test_nobody_else_may_read_the_database_whichever_command_makes_it(
    tmp_path: Path, sqlite_only: None, command: list[str]
) -> None:
    environment = environment_for(f"sqlite:///{tmp_path}/rainbow.db")
    subprocess.run(
        [*MANAGE, *command], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_SECONDS
    )

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_database_that_others_may_read_is_said(
    start_server: StartServer, new_database: Callable[[], str], sqlite_only: None
) -> None:
    url = new_database()
    file = Path(url.removeprefix("sqlite:///"))
    file.chmod(0o644)

    server = start_server(database_url=url)

    assert f"WARNING others on this machine can open {file}" in server.log.read_text()


def test_what_follows_migrations_is_done_by_the_next_server_if_one_was_killed_before_it(
    start_server: StartServer, new_database: Callable[[], str], sqlite_only: None
) -> None:
    url = new_database()
    execute(url, "DELETE FROM auth_group_permissions")
    execute(url, "DELETE FROM auth_permission")

    start_server(database_url=url)

    assert count(url, "auth_permission") > (0,)


def test_a_server_says_what_it_serves_where_and_on_which_database(start_server: StartServer) -> None:
    server = start_server(arguments=["--name", "over-the-rainbow"])

    log = server.log_with(f"over-the-rainbow serves {NAME} at {server.address}\n")

    database = server.database_url.partition("://")[2].partition("?")[0].lstrip("/").partition("@/")
    assert "starting over-the-rainbow" in log
    assert (database[2] or database[0]) in log
    assert "WARNING" not in log


def test_a_server_with_the_development_secret_warns_of_it(start_server: StartServer) -> None:
    server = start_server(environment={"RAINBOW_REGISTRATION_SECRET": ""})

    with connected(server.address) as stub:
        new = stub.Register(registration(server, secret="chocolate-cookies"))
    server.stop()

    assert new.token
    assert "WARNING the development registration secret is in use" in server.log.read_text()
    assert "chocolate-cookies" not in server.log.read_text()


@pytest.mark.parametrize("by", ["--secret", "--secret-file"])
def test_the_registration_secret_may_come_as_an_argument_or_from_a_file(
    start_server: StartServer, tmp_path: Path, by: str
) -> None:
    (tmp_path / "secret").write_text("$from here\nnot this\n")
    value = "$from here" if by == "--secret" else str(tmp_path / "secret")

    server = start_server(arguments=[by, value])

    with connected(server.address) as stub:
        assert stub.Register(registration(server, secret="$from here")).token
        assert refusal_of(stub.Register, registration(server)).code == grpc.StatusCode.UNAUTHENTICATED
    server.stop()
    assert "$from here" not in server.log.read_text()


def test_a_second_server_on_the_same_address_says_so_and_ends(server: RainbowServer) -> None:
    second = grpcserver(server.database_url, "--address", server.address)

    assert second.returncode == 1
    assert f"cannot listen on {server.address}: it is in use" in second.stderr
    assert "Traceback" not in second.stderr
    server.wait_until_serving()


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "192.0.2.1:50051", ""])
def test_an_address_that_cannot_be_is_refused_without_a_trace(new_database: Callable[[], str], address: str) -> None:
    refused = grpcserver(new_database(), "--address", address)

    assert refused.returncode == 1
    assert "cannot listen on" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "add_port" not in refused.stderr, "gRPC's core repeats it in its own way"


def test_an_address_without_a_host_is_every_address_of_the_machine(start_server: StartServer) -> None:
    """As the original has it: `--address :50051`."""
    port = free_port()

    server = start_server(address=f"127.0.0.1:{port}", arguments=["--address", f":{port}"])

    server.log_with(rf"at \[::\]:{port}")


def test_a_secret_file_that_cannot_serve_is_refused_without_a_trace(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("\n")

    url = new_database()
    missing = grpcserver(url, "--secret-file", str(tmp_path / "missing"))
    empty = grpcserver(url, "--secret-file", str(tmp_path / "empty"))
    both = grpcserver(url, "--secret-file", str(tmp_path / "empty"), "--secret", "x")

    assert "cannot read" in missing.stderr
    assert "the first line of" in empty.stderr
    assert "not both" in both.stderr
    assert not any("Traceback" in refused.stderr for refused in (missing, empty, both))


@pytest.mark.usefixtures("sqlite_only")
def test_a_clean_start_is_refused_while_a_server_lives_on_the_database(server: RainbowServer) -> None:
    before = count(server.database_url, "clusters_cluster")

    refused = grpcserver(server.database_url, "--cleanup")

    assert refused.returncode == 1
    assert "a live server uses" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert count(server.database_url, "clusters_cluster") == before
    with joined(server) as cluster:
        assert cluster.submit().jobid


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize(
    ("end", "by"),
    [
        (RainbowServer.stop, {"arguments": ["--cleanup"]}),
        (RainbowServer.kill, {"environment": {"RAINBOW_CLEANUP": "true"}, "with_web": True}),
    ],
    ids=["flag", "environment of serve"],
)
def test_a_clean_start_after_a_server_ended_has_an_empty_database(
    start_server: StartServer, end: Callable[[RainbowServer], object], by: dict[str, Any]
) -> None:
    server = start_server()
    with joined(server) as cluster:
        cluster.submit()
    end(server)

    fresh = start_server(database_url=server.database_url, **by)

    assert count(fresh.database_url, "clusters_cluster", "jobs_job") == (0, 0)
    with joined(fresh) as cluster:
        assert cluster.submit().jobid == 1


@pytest.mark.usefixtures("postgresql_only")
def test_a_database_of_its_own_cannot_be_cleaned_up(server: RainbowServer) -> None:
    refused = grpcserver(server.database_url, "--cleanup")

    assert refused.returncode == 1
    assert "--cleanup is for the embedded database only" in refused.stderr


@pytest.mark.usefixtures("sqlite_only")
def test_a_server_keeps_what_an_earlier_one_stored_where_nobody_else_may_read_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(database_url=f"sqlite:///{tmp_path}/rainbow.db")
    # SQLite gives the files that it writes beside the database the mode of the database.
    assert (tmp_path / "rainbow.db").stat().st_mode & 0o777 == 0o600
    with joined(server) as cluster:
        job_id = cluster.submit().jobid
        assert server.stop() == 0

        again = start_server(database_url=server.database_url, address=server.address)

        assert "(created)" in server.log.read_text()
        assert "(created)" not in again.log.read_text()
        with connected(again.address) as stub:
            found = stub.RequestJobs(pb.RequestJobsRequest(cluster=cluster.name, secret=cluster.secret))
    assert list(found.jobids) == [job_id]


def test_health_is_told_for_the_server_and_its_service(server: RainbowServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        answers = [
            stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE_SECONDS).status
            for name in ("", NAME)
        ]
        unknown = refusal_of(stub.Check, health_pb2.HealthCheckRequest(service="unheard.of"))

    assert answers == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert unknown.code == grpc.StatusCode.NOT_FOUND


def test_whoever_watches_a_server_hears_that_it_stops_and_does_not_hold_it_up(start_server: StartServer) -> None:
    server = start_server()

    async def watched() -> tuple[int, list[Any]]:
        async with grpc.aio.insecure_channel(server.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME))
            first = await watch.read()
            # What a client has not asked for when the connection ends may be lost.
            second = asyncio.ensure_future(watch.read())
            await asyncio.sleep(0)
            exit_code = await asyncio.to_thread(server.stop)
            return exit_code, [first.status, (await second).status, await watch.read()]

    exit_code, answers = asyncio.run(watched())

    assert exit_code == 0
    # Its end came from the server; after the grace for calls in flight it would have been cut off.
    serving, stopping = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert answers == [serving, stopping, grpc.aio.EOF]


def test_reflection_lists_the_services_and_describes_ours(server: RainbowServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        reflection = ProtoReflectionDescriptorDatabase(channel)

        services = reflection.get_services()
        file = reflection.FindFileContainingSymbol(NAME)

    versions = {"grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"}
    assert set(services) == {NAME, "grpc.health.v1.Health", *versions}
    assert [method.name for method in file.service[0].method] == [
        method.name for method in pb.DESCRIPTOR.services_by_name["RainbowScheduler"].methods
    ]


def test_reflection_answers_by_its_newer_name_as_by_its_older_one(server: RainbowServer) -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.reflection.v1.ServerReflection"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="un.heard.Of"),
    ]
    with grpc.insecure_channel(server.address) as channel:
        answers = [
            list(
                channel.stream_stream(
                    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                    request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                    response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
                )(iter(asked), timeout=PATIENCE_SECONDS)
            )
            for version in ("v1", "v1alpha")
        ]

    assert answers[0] == answers[1]
    (described,) = answers[0][2].file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(described).service[0].method[0].input_type.startswith(".grpc.reflection.v1.")
    assert answers[0][3].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_a_service_that_nobody_knows_is_watched_until_the_server_stops(start_server: StartServer) -> None:
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="unheard.of"))
        first = next(watch)

        server.stop()

        assert first.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert list(watch) == []


def test_a_server_ends_well_when_it_is_interrupted(start_server: StartServer) -> None:
    server = start_server()

    server.process.send_signal(2)

    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert server.log.read_text().rstrip().endswith("stopped")


def test_a_call_has_one_line_of_log_that_says_who_what_and_how_it_ended(start_server: StartServer) -> None:
    server = start_server()
    with joined(server) as cluster:
        job_id = cluster.submit().jobid
        refusal_of(cluster.stub.SubmitJob, cluster.submission(nodes=0))
        server.stop()

    lines = [line.split(" INFO ", 1)[1] for line in server.log.read_text().splitlines() if "SubmitJob" in line]

    assert len(lines) == 2
    assert lines[0].startswith(f"SubmitJob cluster={cluster.name} job={job_id} code=OK ms=")
    assert "field=nodes code=INVALID_ARGUMENT ms=" in lines[1]


def test_the_log_holds_no_credential_however_calls_end(start_server: StartServer) -> None:
    server = start_server(environment={"RAINBOW_LOG_LEVEL": "DEBUG"})
    with joined(server) as cluster:
        stub, wrong = cluster.stub, "not-a-credential-but-somebodys-password"
        job_id = cluster.submit().jobid
        cluster.request()
        cluster.accept(job_id, agent="agent-1")
        cluster.job(job_id, with_events=True)
        refusal_of(stub.SubmitJob, cluster.submission(token=wrong))
        refusal_of(stub.SubmitJob, cluster.submission(token=cluster.secret))
        refusal_of(stub.SubmitJob, cluster.submission(cluster=cluster.token))
        refusal_of(stub.Register, registration(server, name=wrong, secret=wrong))
        refusal_of(stub.Register, registration(server, name=f"{cluster.secret}/"))
        request = pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_SECRET)
        rotated = stub.RotateCredential(request, metadata=cluster.by_secret)
        refusal_of(stub.ListJobs, pb.ListJobsRequest(page_token=wrong), metadata=cluster.by_token)
        server.stop()

    log = server.log.read_text()

    held = [cluster.token, cluster.secret, rotated.credential, server.registration_secret, wrong]
    assert [value for value in held if value in log] == []
    assert log.count("RotateCredential") == 1
