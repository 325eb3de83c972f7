"""A server that was taken over, and an agent that runs only what a person signed: it cannot act as that person."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rainbow import translation
from rainbow.agent.people import UsersFile
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.signed_runs import SignedRuns
from rainbow.executors.executor import Ending, WorkRefused
from rainbow.protos import rainbow_pb2 as pb
from rainbow.signatures import public_text
from rainbow.signer import Signer
from rainbow.specs import JobSpec
from tests.support.agents import Crew, ScriptedExecutor, crew, ended
from tests.support.hostile_server import NAME, HostileServer, hostile_server
from tests.support.wire import Remote

CLUSTER = Remote(name=NAME, token="", secret="the-secret", stub=None)  # type: ignore[arg-type]
KEY = Ed25519PrivateKey.generate()
SPEC = JobSpec(command="hostname", nodes=2, environment={"A": "1"}, account="physics")

Hire = Callable[..., Crew]


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile_server() as hostile:
        yield hostile


@pytest.fixture
def users_toml(tmp_path: Path) -> Path:
    path = tmp_path / "users.toml"
    path.write_text(f'pools = ["all"]\n[people.ada]\nkeys = ["{public_text(KEY)}"]\n[people.bob]\n')
    path.chmod(0o600)
    return path


@pytest.fixture
def hire(server: HostileServer, scheduler: ScriptedExecutor, users_toml: Path, tmp_path: Path) -> Iterator[Hire]:
    with ExitStack() as stack:

        def make(cluster: str = NAME) -> Crew:
            runs = SignedRuns(tmp_path)
            stack.callback(runs.close)
            signatures = RequiredSignatures(file=UsersFile(path=users_toml), cluster=cluster, runs=runs)
            folder = tmp_path / "state"
            return stack.enter_context(crew(CLUSTER, server.address, folder, executor=scheduler, signatures=signatures))

        yield make


def signed(spec: JobSpec = SPEC, *, target: str = NAME, **more: Any) -> JobSpec:
    return Signer(key=KEY, person="ada", **more).signed(spec, target=target)


def offer(server: HostileServer, spec: JobSpec, jobid: int = 7, *, owner: str = "ada", attempt: int = 1) -> None:
    """As the server tells of it: in the queue only its size, then all."""
    plain = {"id": jobid, "cluster": NAME, "name": "n", "nodes": spec.nodes, "tasks": 0, "command": spec.command}
    server.lines[jobid] = json.dumps({**plain, "attempt": attempt} if attempt > 1 else plain)
    server.attempts[jobid] = attempt
    told = translation.job_spec(spec)
    fields = {field.name: value for field, value in told.ListFields()}
    server.held = [job for job in server.held if job.id != jobid]
    server.held.append(pb.Job(**fields, id=jobid, cluster=NAME, attempt=attempt, owner=owner, state=2))
    server.accepted = [taken for taken in server.accepted if taken != jobid]


def refusal(server: HostileServer, agent: Crew, jobid: int = 7) -> str:
    agent.work(lambda: jobid in server.reports and server.reports[jobid].returned == pb.JobReport.RETURN_REFUSED)
    return server.reports[jobid].reason


def run_to_its_end(server: HostileServer, scheduler: ScriptedExecutor, agent: Crew, spec: JobSpec) -> None:
    """Until nothing of it is left in the journal."""
    offer(server, spec)
    agent.work(lambda: "rainbow-7-1" in scheduler.jobs)
    scheduler.progress["rainbow-7-1"] = ended(agent.clock.now(), ending=Ending.EXITED, exit_code=0)
    agent.work(lambda: server.ended(7))
    agent.clock.move(600)
    agent.work(lambda: "rainbow-7-1" in scheduler.forgotten and not agent.journal.done())
    server.reports.clear()


def test_what_a_person_signed_runs(server: HostileServer, scheduler: ScriptedExecutor, hire: Hire) -> None:
    offer(server, signed())
    offer(server, signed(target="all"), 8)

    hire().work(lambda: len(scheduler.jobs) == 2)

    assert scheduler.jobs["rainbow-7-1"].account == "physics"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"command": "id"}, "changed since"),
        ({"nodes": 3}, "changed since"),
        ({"environment": {"A": "1", "LD_PRELOAD": "/x"}}, "changed since"),
        ({"account": "chemistry"}, "changed since"),
        ({"working_directory": "/tmp"}, "changed since"),
        ({"time_limit_seconds": 9}, "changed since"),
        ({"image": "debian:12"}, "changed since"),
        ({"start_within_seconds": 60}, "changed since"),
        ({"signature": ""}, "it is not signed"),
        ({"signature": "{}"}, "none of this kind"),
    ],
    ids=str,
)
def test_what_the_server_made_of_it_does_not(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire, changes: dict[str, Any], reason: str
) -> None:
    spec = signed()
    offer(server, JobSpec(**{name: getattr(spec, name) for name in ("command", "nodes", "environment", "account",
                                                                     "signature")} | changes))  # fmt: skip

    assert reason in refusal(server, hire())
    assert scheduler.handed_over == []


def test_operators_change_its_place_in_the_queue_all_the_same(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    spec = signed()
    more = {name: getattr(spec, name) for name in ("command", "nodes", "environment", "account", "signature")}
    offer(server, JobSpec(**more, priority=7, labels={"a": "b"}))

    hire().work(lambda: scheduler.jobs)


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        ("bob", "has no key of bob"),
        ("", "this job is no person's"),
        ("grace", "has no key of grace"),
    ],
)
def test_it_runs_as_nobody_else(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire, owner: str, reason: str
) -> None:
    offer(server, signed(), owner=owner)

    assert reason in refusal(server, hire())
    assert scheduler.handed_over == []


def test_a_signature_for_another_cluster_or_pool_is_refused(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    """Also after an operator moved the job here."""
    offer(server, signed(target="elsewhere"))

    assert f"it is signed for elsewhere, not for all or {NAME}" in refusal(server, hire())
    assert scheduler.handed_over == []


def test_a_signature_that_expired_is_refused(server: HostileServer, scheduler: ScriptedExecutor, hire: Hire) -> None:
    offer(server, signed(valid_for=timedelta(hours=1), clock=lambda: datetime.now(UTC) - timedelta(hours=2)))

    assert "its signature expired at" in refusal(server, hire())
    assert scheduler.handed_over == []


def test_one_signature_runs_once_under_whatever_id(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    spec, agent = signed(), hire()
    offer(server, spec)
    agent.work(lambda: "rainbow-7-1" in scheduler.jobs)

    offer(server, spec, 8)
    assert "used before, by job 7" in refusal(server, agent, 8)
    offer(server, spec, 7, attempt=2)
    agent.work(lambda: server.reports[7].attempt == 2)
    assert "it is for 1 run" in refusal(server, agent)

    agent.restart()
    offer(server, spec, 9)
    assert "used before, by job 7" in refusal(server, agent, 9)
    assert scheduler.handed_over == ["rainbow-7-1"]


def test_one_signature_runs_once_also_when_the_agent_has_forgotten_the_job(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    """The same attempt of the same job, offered again when nothing of it is left in the journal."""
    spec, agent = signed(), hire()
    run_to_its_end(server, scheduler, agent, spec)

    offer(server, spec)

    assert "its signature was used before" in refusal(server, agent)
    assert scheduler.handed_over == ["rainbow-7-1"]


def test_what_is_given_back_leaves_other_signatures_as_they_are(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    """The server gives the id of a job that ran to another one, which the scheduler refuses."""
    spec, agent = signed(), hire()
    run_to_its_end(server, scheduler, agent, spec)
    scheduler.mishaps["id"] = WorkRefused("not today")
    offer(server, signed(JobSpec(command="id")))
    assert "not today" in refusal(server, agent)
    agent.work(lambda: not len(agent.agent._held_jobs))

    offer(server, spec, 8)

    assert "used before, by job 7" in refusal(server, agent, 8)


def test_an_attempt_that_was_taken_away_before_its_hand_over_leaves_the_signature_to_the_next(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    spec, agent = signed(), hire()
    server.stale.add(7)
    offer(server, spec)
    agent.work(lambda: 7 in server.reports and not len(agent.agent._held_jobs))
    assert scheduler.handed_over == []

    server.stale.clear()
    offer(server, spec, 7, attempt=2)

    agent.work(lambda: "rainbow-7-2" in scheduler.jobs)


def test_an_attempt_that_the_scheduler_refused_leaves_the_signature_to_the_next(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire
) -> None:
    spec, agent = signed(), hire()
    scheduler.mishaps["hostname"] = WorkRefused("not today")
    offer(server, spec)
    assert "not today" in refusal(server, agent)
    agent.work(lambda: not len(agent.agent._held_jobs))

    scheduler.mishaps.clear()
    offer(server, spec, 7, attempt=2)
    agent.work(lambda: "rainbow-7-2" in scheduler.jobs)


def test_while_the_keys_cannot_be_read_nothing_runs_and_nothing_is_refused(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire, users_toml: Path
) -> None:
    keys = users_toml.read_text()
    users_toml.chmod(0o666)
    offer(server, signed())
    agent = hire()
    agent.work(lambda: agent.agent.not_ready)
    assert "must not be writable by others" in agent.agent.not_ready
    assert server.accepted == []

    users_toml.chmod(0o600)
    assert users_toml.read_text() == keys
    agent.work(lambda: scheduler.jobs)
