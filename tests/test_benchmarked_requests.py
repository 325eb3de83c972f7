"""The benchmarks send what callers send: the same fields and metadata as the agent, the command line and the client."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf.message import Message

from benchmarks.bench import Server
from benchmarks.cases import Case
from benchmarks.cluster import Cluster, register
from benchmarks.entries import further_calls, verbs
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import GroupWish, JobSpec, JobState
from tests.support import processes
from tests.support.commandline import MAIN, Run
from tests.support.executors import until_there
from tests.support.patience import wait_until
from tests.support.recorder import Recorder, recorder_before
from tests.support.servers import RainbowServer, environment_for

# The fields of a message with those of its parts, and the names of its call's metadata.
Shape = tuple[frozenset[str], frozenset[str]]

SENT_BY_PUBLISHED_CLIENTS = {
    "Register": {"name", "secret", "sent"},
    "SubmitJob": {"name", "cluster", "token", "nodes", "command", "sent"},
    "RequestJobs": {"cluster", "secret", "maxJobs", "sent"},
    "AcceptJobs": {"cluster", "secret", "jobids", "sent"},
}
# Tests of a connection, whose callers send what they like.
NO_OPS = {"Serial", "Stream"}


def test_the_benchmarks_send_what_callers_send(
    server: RainbowServer, rainbow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = _measured(server)
    cluster = register(measured, "recorded")
    cases = [case for case in _cases(measured) if _method(case) not in NO_OPS]

    with recorder_before(server.address) as recorder:
        for name, value in _settings_for(cluster, recorder).items():
            monkeypatch.setenv(name, value)
        with _agent(cluster, recorder, tmp_path):
            _submit_and_see_run(Client(recorder.address, cluster=cluster.name, token=cluster.token), rainbow, tmp_path)
        _use_the_rest(Client(recorder.address, cluster=cluster.name, token=cluster.token), cluster, rainbow)

    seen = {(call.method, _shape(call.method, call.content, call.metadata)) for call in recorder.calls}
    seen |= {(name, (frozenset(fields), frozenset())) for name, fields in SENT_BY_PUBLISHED_CLIENTS.items()}
    unlike = {
        case.name: {shape for name, shape in seen if name == _method(case)}
        for case in cases
        if (_method(case), _shape_of(case)) not in seen
    }
    assert unlike == {}, {case.name: _shape_of(case) for case in cases if case.name in unlike}


def _measured(server: RainbowServer) -> Server:
    return Server(
        address=server.address,
        database_url=server.database_url,
        registration_secret=server.registration_secret,
        pid=server.process.pid,
        database_pid=None,
        log=server.log,
    )


def _cases(server: Server) -> list[Case]:
    return [*verbs.contenders(server, register(server, "submitting"), []), *further_calls.contenders(server)]


def _settings_for(cluster: Cluster, recorder: Recorder) -> dict[str, str]:
    return {
        "RAINBOW_HOST": recorder.address,
        "RAINBOW_CLUSTER": cluster.name,
        "RAINBOW_TOKEN": cluster.token,
        "RAINBOW_SECRET": cluster.secret,
    }


@contextmanager
def _agent(cluster: Cluster, recorder: Recorder, folder: Path) -> Iterator[None]:
    words = ["--executor", "local", "--slots", "4", "--lease", "10", "--state-dir", str(folder / "state")]
    process = processes.start(
        [*MAIN, "agent", *words],
        log=folder / "agent.log",
        environment=environment_for("", **_settings_for(cluster, recorder)),
    )
    try:
        yield
    finally:
        processes.stop(process, gently=signal.SIGTERM)


def _submit_and_see_run(client: Client, rainbow: Run, folder: Path) -> None:
    """Until it is told that one ended, and of another that it goes on."""
    assert rainbow("submit", "--wait", "--", "echo", "a line").exit_code == 0
    running = client.submit_job(JobSpec(command=until_there(folder / "go"))).jobid
    wait_until(lambda: client.get_jobs([running]).jobs[0].state == JobState.RUNNING)
    (folder / "go").touch()
    wait_until(lambda: client.get_jobs([running]).jobs[0].state == JobState.COMPLETED)


def _use_the_rest(client: Client, cluster: Cluster, rainbow: Run) -> None:
    first = client.submit_jobs([JobSpec(command="hostname")]).results[0].jobid
    group = client.submit_jobs([JobSpec(command="hostname")], group=GroupWish()).group
    client.get_group(group)
    client.cancel_group(group)
    client.summarize_jobs()
    client.get_jobs([first])
    commands = [
        ("register", "--cluster-name", "recorded-too"),
        ("jobs",),
        ("clusters",),
        ("groups",),
        ("cancel", str(first)),
        ("watch", str(first)),
        ("resubmit", str(first)),
        ("rotate", "token", "--grace", "0"),
    ]
    for words in commands:
        assert not isinstance(rainbow(*words).exception, Exception), words
    assert rainbow("submit", "--file", "-", input='{"command": "hostname"}\n').exit_code in (0, 3)


def _method(case: Case) -> str:
    return case.method.rpartition("/")[2]


def _shape_of(case: Case) -> Shape:
    return _shape(_method(case), next(case.messages(0.001)), case.metadata)


def _shape(method: str, content: bytes, metadata: object) -> Shape:
    kind: type[Message] = getattr(pb, f"{method}Request", pb.Request)
    return frozenset(_fields(kind.FromString(content))), frozenset(dict(metadata))


def _fields(message: Message, above: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        yield above + field.name
        kind = field.message_type
        if kind and kind.file == message.DESCRIPTOR.file and not kind.GetOptions().map_entry:
            for part in value if field.is_repeated else [value]:
                yield from _fields(part, f"{above}{field.name}.")
