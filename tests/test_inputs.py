"""Files that jobs are submitted with: from the submitter to the job's folder, and kept no longer than needed."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from jobs.models import Input, JobInput
from jobs.services.cancel import cancel_jobs
from jobs.services.inputs import KEPT_FOR, delete_unneeded_inputs, keep_input
from jobs.services.orders import Order
from jobs.services.prune import prune_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from rainbow import records
from rainbow.client import Client
from rainbow.errors import InvalidArgument, NotFound, ResourceExhausted, Unauthenticated
from rainbow.executors.executor import WorkRefused
from rainbow.executors.folders import folder_of
from rainbow.executors.job_files import with_files
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobState
from rainbow.specs import Work
from tests.support.agent_cast import Hire, key
from tests.support.agents import ScriptedExecutor
from tests.support.commandline import Run, answer
from tests.support.servers import RainbowServer
from tests.support.web import post, registered
from tests.support.wire import Remote, bearer, refusal_of

DATA = b"x,y\n1,2\n"
DIGEST = hashlib.sha256(DATA).hexdigest()
MIB = 1024 * 1024


def put(client: Client, *contents: bytes) -> tuple[str, ...]:
    return client.put_inputs(contents)


def submitted(member: Any, now: datetime, **inputs: str) -> Any:
    spec = JobSpec(command="true", inputs=inputs)
    order = Order(by=member.submitter, cluster_id=member.submitter.cluster_id, spec=spec)
    return submit_jobs(orders=[order], now=now)[0]


def cancelled(member: Any, job_id: int, now: datetime) -> None:
    cancel_jobs(by=member.submitter, job_ids=[job_id], now=now)


# From end to end.


def test_a_job_finds_its_inputs_where_it_begins(hire: Hire) -> None:
    agent = hire()
    large = os.urandom(3 * MIB)
    digests = put(agent.client, DATA, b"#!/bin/sh\necho ran\n", b"", large)
    assert digests == tuple(hashlib.sha256(one).hexdigest() for one in (DATA, b"#!/bin/sh\necho ran\n", b"", large))
    names = ("data.csv", "bin/run.sh", "conf/deep/empty", "large")

    jobid = agent.submit(
        'cat data.csv; ./bin/run.sh; wc -c < conf/deep/empty; sha256sum < large; [ "$PWD" = "$RAINBOW_FILES" ] && pwd',
        inputs=dict(zip(names, digests, strict=True)),
    )
    (job,) = agent.finish(jobid)

    folder = agent.folder / "jobs" / key(jobid) / "files"
    assert job.output == f"x,y\n1,2\nran\n0\n{digests[3]}  -\n{folder}\n"
    assert dict(job.inputs) == dict(zip(names, digests, strict=True))
    agent.work(lambda: not (agent.folder / "staged" / key(jobid)).exists())


def test_a_job_that_says_where_it_runs_finds_them_by_a_variable(hire: Hire) -> None:
    agent = hire()
    put(agent.client, DATA)

    jobid = agent.submit('pwd; cat "$RAINBOW_FILES"/a', inputs={"a": DIGEST}, working_directory="/tmp")

    assert agent.finish(jobid)[0].output == "/tmp\nx,y\n1,2\n"


def test_the_agent_is_killed_before_and_after_it_has_the_files(hire: Hire, scheduler: ScriptedExecutor) -> None:
    agent = hire(executor=scheduler)
    put(agent.client, DATA)
    jobid = agent.submit("true", inputs={"a": DIGEST})
    agent.work(lambda: (agent.folder / "staged" / key(jobid) / DIGEST).exists())

    agent.restart()

    agent.work(lambda: key(jobid) in scheduler.jobs)
    assert scheduler.handed_over == [key(jobid)]


def test_what_the_server_sends_in_place_of_an_input_is_not_handed_over(
    hire: Hire, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = hire(executor=scheduler)
    put(agent.client, DATA)
    monkeypatch.setattr(type(agent.agents_client), "read_input", lambda *_, **__: iter([b"another"]))
    jobid = agent.submit("true", inputs={"a": DIGEST})

    agent.work(lambda: agent.job(jobid).state == JobState.FAILED)

    assert "inputs: a is not what the job was submitted with" in agent.job(jobid).reason
    assert not scheduler.handed_over


def test_what_has_no_end_is_not_read_to_it(
    hire: Hire, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = hire(executor=scheduler)
    put(agent.client, DATA)
    monkeypatch.setattr(type(agent.agents_client), "read_input", lambda *_, **__: iter(lambda: b"x" * MIB, b""))
    jobid = agent.submit("true", inputs={"a": DIGEST})

    agent.work(lambda: agent.job(jobid).state == JobState.FAILED)

    assert "inputs: with a they are more than 4,194,304 bytes" in agent.job(jobid).reason


def test_the_command_line_puts_and_names_files(
    stranger: Run, hire: Hire, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAINBOW_CLUSTER", remote.name)
    monkeypatch.setenv("RAINBOW_TOKEN", remote.token)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.csv").write_bytes(DATA)
    (tmp_path / "local.toml").write_bytes(b"a = 1\n")
    agent = hire()

    words = ("--input", "in/data.csv", "--input", "conf/x.toml=local.toml", "--input", str(tmp_path / "local.toml"))
    jobid = answer(stranger("submit", "--json", *words, "--", "cat", "in/data.csv", "conf/x.toml", "local.toml"))[
        "jobid"
    ]

    assert agent.finish(jobid)[0].output == "x,y\n1,2\na = 1\na = 1\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--input", "../x"], "without empty parts, . and .."),
        (["--input", "a=x", "--input", "a=y"], "given twice"),
        (["--input", "a=/no/such"], "cannot read /no/such"),
        (["--input", "a=/dev/zero"], "is not a file"),
        (["--input", "a=/"], "is"),
    ],
)
def test_the_command_line_refuses_what_cannot_be_an_input(
    stranger: Run, remote: Remote, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    monkeypatch.setenv("RAINBOW_CLUSTER", remote.name)
    monkeypatch.setenv("RAINBOW_TOKEN", remote.token)

    refused = stranger("submit", *words, "--", "true")

    assert refused.exit_code == 2
    assert reason in refused.stderr


# On the wire.


def test_only_the_agent_that_holds_the_job_reads_its_inputs(
    hire: Hire, scheduler: ScriptedExecutor, other_remote: Remote, server: RainbowServer
) -> None:
    agent = hire(executor=scheduler)
    put(agent.client, DATA)
    jobid = agent.submit("true", inputs={"a": DIGEST})
    said = {"attempt": 1, "sha256": DIGEST}
    name = agent.agent._context.settings.agent
    with pytest.raises(NotFound):
        list(agent.agents_client.read_input(jobid, agent=name, **said))
    agent.work(lambda: key(jobid) in scheduler.jobs)

    assert b"".join(agent.agents_client.read_input(jobid, agent=name, **said)) == DATA
    for wrong in ({"agent": "other"}, {"agent": ""}, {"attempt": 2}, {"sha256": "0" * 64}):
        with pytest.raises(NotFound):
            list(agent.agents_client.read_input(jobid, **{"agent": name, **said, **wrong}))
    other = Client(server.address, cluster=other_remote.name, secret=other_remote.secret)
    with other, pytest.raises(NotFound):
        list(other.read_input(jobid, agent=name, **said))
    other = Client(server.address, cluster=other_remote.name, secret=other_remote.token)
    with other, pytest.raises(Unauthenticated):
        list(other.read_input(jobid, agent=name, **said))


def test_an_input_of_another_cluster_is_like_one_that_is_not_there(
    server: RainbowServer, remote: Remote, other_remote: Remote
) -> None:
    with Client(server.address, cluster=other_remote.name, token=other_remote.token) as other:
        put(other, DATA + b"theirs")
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        digest = hashlib.sha256(DATA + b"theirs").hexdigest()
        with pytest.raises(InvalidArgument, match="does not have a") as caught:
            client.submit_job(records.JobSpec(command="true", inputs={"a": digest}))
    assert caught.value.field == "inputs"


def test_a_part_that_is_too_large_and_a_file_that_is_are_refused(remote: Remote) -> None:
    def call(parts: list[bytes], *, last: bool = True) -> Callable[..., Any]:
        requests = [pb.PutInputsRequest(cluster=remote.name, content=part) for part in parts]
        requests[-1].last = last
        return lambda _, **more: list(
            remote.stub.PutInputs(iter(requests), metadata=bearer(remote.token), timeout=more["timeout"])
        )

    assert refusal_of(call([b"x" * (2 * MIB)]), None).code == grpc.StatusCode.INVALID_ARGUMENT
    assert "must be at most 4,194,304 bytes" in refusal_of(call([b"x" * MIB] * 4 + [b"x"]), None).text
    assert "the last part of a file is missing" in refusal_of(call([b"x"], last=False), None).text
    assert [reply.size for reply in call([b"x" * MIB] * 4)(None, timeout=60)] == [4 * MIB]


def test_an_empty_part_that_is_not_the_last_is_refused(remote: Remote) -> None:
    parts = [pb.PutInputsRequest(content=b"x"), pb.PutInputsRequest(), pb.PutInputsRequest(last=True)]

    def call(_: object, **more: Any) -> Any:
        return list(remote.stub.PutInputs(iter(parts), metadata=bearer(remote.token), timeout=more["timeout"]))

    assert "must not be empty but in the last part" in refusal_of(call, None).text


def test_over_rest_a_file_is_put_as_base64(web_server: RainbowServer) -> None:
    web_member = registered(web_server)
    kept = post(web_server, "/api/v1/inputs", {"content": "eCx5CjEsMgo="}, bearer=web_member.token)
    assert (kept.status, kept.json["sha256"], kept.json["size"]) == (201, DIGEST, 8)

    job = post(web_server, "/api/v1/jobs", {"command": "cat a", "inputs": {"a": DIGEST}}, bearer=web_member.token)
    unknown = post(web_server, "/api/v1/jobs", {"command": "cat a", "inputs": {"a": "0" * 64}}, bearer=web_member.token)
    broken = [
        post(web_server, "/api/v1/inputs", {"content": content}, bearer=web_member.token)
        for content in ("eCx5=CjE", "eCx5é")
    ]

    assert (job.status, unknown.status, *(one.status for one in broken)) == (201, 400, 400, 400)
    assert all("content: must be base64" in one.json["detail"] for one in broken)


# On the server.


@pytest.mark.django_db
def test_a_file_is_kept_once(alpha: Any, now: datetime) -> None:
    for _ in range(3):
        kept = keep_input(caller=alpha.submitter, project="", content=DATA, now=now)

    assert (kept.sha256, kept.size, kept.until) == (DIGEST, len(DATA), now + KEPT_FOR)
    assert [bytes(one.content) for one in Input.objects.all()] == [DATA]


@pytest.mark.django_db
def test_inputs_of_more_than_the_limit_in_all_are_refused(alpha: Any, now: datetime) -> None:
    halves = [keep_input(caller=alpha.submitter, project="", content=bytes([n]) * (2 * MIB), now=now) for n in (1, 2)]
    byte = keep_input(caller=alpha.submitter, project="", content=b"x", now=now)

    assert submitted(alpha, now, a=halves[0].sha256, b=halves[1].sha256).job_id
    refused = submitted(alpha, now, a=halves[0].sha256, b=halves[1].sha256, c=byte.sha256)

    assert isinstance(refused, InvalidArgument)
    assert refused.message == "must be at most 4,194,304 bytes in all, not 4,194,305"


@pytest.mark.django_db
def test_the_quota_is_of_each_project_and_cluster(alpha: Any, beta: Any, now: datetime, settings: Any) -> None:
    settings.RAINBOW_INPUTS_MIB = 1
    keep_input(caller=alpha.submitter, project="", content=b"x" * MIB, now=now)

    with pytest.raises(ResourceExhausted, match="RAINBOW_INPUTS_MIB"):
        keep_input(caller=alpha.submitter, project="", content=b"y", now=now)

    keep_input(caller=beta.submitter, project="", content=b"y", now=now)
    keep_input(caller=alpha.submitter, project="", content=b"x" * MIB, now=now)


@pytest.mark.django_db
def test_an_input_is_kept_while_a_job_needs_it_and_for_a_time(alpha: Any, now: datetime) -> None:
    keep_input(caller=alpha.submitter, project="", content=DATA, now=now)
    keep_input(caller=alpha.submitter, project="", content=b"unused", now=now)
    job_id = submitted(alpha, now, a=DIGEST, b=DIGEST).job_id
    later = now + KEPT_FOR + timedelta(seconds=1)

    assert delete_unneeded_inputs(now=now + KEPT_FOR - timedelta(seconds=1), limit=10) == 0
    assert delete_unneeded_inputs(now=later, limit=10) == 2
    assert [one.sha256 for one in Input.objects.all()] == [DIGEST]
    cancelled(alpha, job_id, later)

    assert delete_unneeded_inputs(now=later + KEPT_FOR + timedelta(seconds=1), limit=10) == 1
    assert not Input.objects.exists()
    assert not JobInput.objects.exists()


@pytest.mark.django_db
def test_a_job_that_is_pruned_leaves_no_trace_of_its_inputs(alpha: Any, now: datetime) -> None:
    keep_input(caller=alpha.submitter, project="", content=DATA, now=now)
    cancelled(alpha, submitted(alpha, now, a=DIGEST).job_id, now)

    prune_jobs(before=now + timedelta(days=1))

    assert not JobInput.objects.exists()


@pytest.mark.django_db
def test_a_submission_that_is_repeated_after_its_input_went_is_a_duplicate(alpha: Any, now: datetime) -> None:
    keep_input(caller=alpha.submitter, project="", content=DATA, now=now)
    spec = JobSpec(command="true", inputs={"a": DIGEST}, idempotency_key="k")
    order = Order(by=alpha.submitter, cluster_id=alpha.submitter.cluster_id, spec=spec)
    (first,) = submit_jobs(orders=[order], now=now)
    JobInput.objects.all().delete()
    Input.objects.all().delete()

    (again,) = submit_jobs(orders=[replace(order, spec=replace(spec))], now=now)

    assert not isinstance(first, Exception) and not isinstance(again, Exception)
    assert (again.job_id, again.duplicate) == (first.job_id, True)


# At the site.


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    folder = tmp_path / "staged"
    folder.mkdir()
    (folder / DIGEST).write_bytes(DATA)
    return folder


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path, staged: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    (tmp_path / "elsewhere").mkdir()
    (folder.path / "files").mkdir()
    (folder.path / "files" / "conf").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError):
        with_files(Work(command="true", inputs={"conf/a": DIGEST}, staged=str(staged)), folder)

    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_a_job_of_this_name_has_changed_stays(tmp_path: Path, staged: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    asked = Work(command="true", inputs={"a": DIGEST, "b": DIGEST}, staged=str(staged))
    with_files(asked, folder)
    (folder.path / "files" / "a").write_text("changed")
    (folder.path / "files" / "b").unlink()
    (folder.path / "files" / "b").symlink_to(tmp_path / "nowhere")

    with_files(asked, folder)

    assert (folder.path / "files" / "a").read_text() == "changed"
    assert not (tmp_path / "nowhere").exists()
    assert stat.S_IMODE((folder.path / "files" / "a").stat().st_mode) == 0o700
    assert sorted(path.name for path in (folder.path / "files").iterdir()) == ["a", "b"]


def test_in_a_container_they_are_mounted_where_they_are(tmp_path: Path, staged: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()

    placed = with_files(Work(command="true", image="debian", inputs={"a": DIGEST}, staged=str(staged)), folder)

    path = str(folder.path / "files")
    assert (placed.mounts, placed.working_directory) == ((f"{path}:{path}",), path)
    assert placed.environment == {"RAINBOW_FILES": path}


def test_where_the_folder_cannot_be_mounted_such_a_job_is_refused(tmp_path: Path, staged: Path) -> None:
    folder = folder_of(tmp_path / "a b", "rainbow-1-1")
    folder.make()
    with pytest.raises(WorkRefused, match="cannot mount"):
        with_files(Work(command="true", image="debian", inputs={"a": DIGEST}, staged=str(staged)), folder)
