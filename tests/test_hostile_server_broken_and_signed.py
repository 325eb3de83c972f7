"""What breaks the protocol is refused with the reason also by an agent that runs only what a person signed."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from rainbow.agent.people import UsersFile
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.signed_runs import SignedRuns
from rainbow.protos import rainbow_pb2 as pb
from rainbow.signatures import public_text
from tests.support.agents import Crew, ScriptedExecutor, crew
from tests.support.hostile import any_specs
from tests.support.hostile_server import NAME, HostileServer
from tests.test_hostile_server import ANSWERS, BROKEN, CLUSTER, SHARED, held, line
from tests.test_hostile_server_signed import KEY, Hire, hire, offer, server, signed, users_toml

__all__ = ["hire", "server", "users_toml"]


@pytest.mark.parametrize(("broken", "reason"), BROKEN, ids=[str(place) for place in range(len(BROKEN))])
def test_a_job_that_breaks_a_rule_fails_with_the_reason_and_what_is_signed_runs(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire, broken: str, reason: str
) -> None:
    server.lines = {7: broken}
    offer(server, signed(), 9)
    agent = hire()

    agent.work(lambda: server.ended(7) and scheduler.jobs)

    report = server.reports[7]
    assert report.state == pb.JOB_STATE_FAILED
    assert report.reason.startswith(f"the server sent a job that breaks the protocol: {reason}")
    assert scheduler.handed_over == ["rainbow-9-1"]


@pytest.mark.parametrize(("further", "words"), ANSWERS, ids=[words for _, words in ANSWERS])
def test_an_answer_that_breaks_the_protocol_is_not_believed_at_all(
    server: HostileServer,
    scheduler: ScriptedExecutor,
    hire: Hire,
    caplog: pytest.LogCaptureFixture,
    further: dict[str, Any],
    words: str,
) -> None:
    server.lines, server.further = {7: line()}, further
    agent = hire()

    agent.work(lambda: words in caplog.text)

    assert not server.accepted
    assert not scheduler.handed_over


@SHARED
@given(spec=any_specs)
def test_whatever_a_server_sends_nothing_is_handed_over_that_no_person_signed(
    server: HostileServer, spec: dict[str, Any]
) -> None:
    server.lines, scheduler = {7: line(**spec)}, ScriptedExecutor(most_slots=2**63)
    server.held = [pb.Job(id=7, cluster=NAME, command="true", nodes=1, attempt=1, owner="ada", state=2)]
    server.accepted.clear()
    server.reports.clear()
    with tempfile.TemporaryDirectory() as name, requiring(server, scheduler, Path(name)) as agent:
        agent.work(lambda: 7 in server.reports)

    assert not scheduler.handed_over


@pytest.mark.parametrize("native_id", ["", "rainbow-7-1", "12345", "--user=root"])
@pytest.mark.parametrize("state", [pb.JOB_STATE_ACCEPTED, pb.JOB_STATE_RUNNING])
def test_a_job_that_the_agent_is_said_to_hold_needs_a_signature_too(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire, native_id: str, state: pb.JobState
) -> None:
    agent = hire()
    own = agent.agent._context.settings.agent
    server.held = [held(native_id=native_id, state=state, agent=own, owner="ada")]

    agent.work(lambda: 7 in server.reports)

    assert not scheduler.handed_over
    assert "submit" not in scheduler.calls


def test_a_signed_job_of_the_journal_is_judged_again_before_it_is_handed_over(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Hire, users_toml: Path
) -> None:
    offer(server, signed())
    agent = hire()
    scheduler.silent = {"submit"}
    agent.work(lambda: scheduler.handed_over)
    scheduler.jobs.clear()
    scheduler.silent = set()

    users_toml.write_text("[people.ada]\n")
    agent.restart()
    agent.work(lambda: 7 in server.reports)

    assert scheduler.handed_over == ["rainbow-7-1"]


@contextmanager
def requiring(server: HostileServer, scheduler: ScriptedExecutor, folder: Path) -> Iterator[Crew]:
    """An agent that runs only what Ada signed."""
    users = folder / "users.toml"
    users.write_text(f'[people.ada]\nkeys = ["{public_text(KEY)}"]\n')
    users.chmod(0o600)
    with ExitStack() as stack:
        runs = SignedRuns(folder)
        stack.callback(runs.close)
        signatures = RequiredSignatures(file=UsersFile(path=users), cluster=NAME, runs=runs)
        yield stack.enter_context(
            crew(CLUSTER, server.address, folder / "state", executor=scheduler, signatures=signatures, ahead=5)
        )
