"""An agent whose server was taken over: what breaks the protocol is refused with the reason, and never run."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.specs import JobSpec, check_spec
from rainbow.agent.context import Checkpoint, ignore_checkpoint
from rainbow.agent.policy import Policy
from rainbow.errors import InvalidArgument
from rainbow.protos import rainbow_pb2 as pb
from rainbow.spec_rules import OWN_VARIABLES
from tests.support.agents import Crew, ScriptedExecutor, crew
from tests.support.hostile import FIELDS, any_json, any_specs
from tests.support.hostile_server import NAME, HostileServer, hostile_server
from tests.support.wire import Remote

CLUSTER = Remote(name=NAME, token="", secret="the-secret", stub=None)  # type: ignore[arg-type]
# The server of these tests keeps no state between the examples.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile_server() as hostile:
        yield hostile


@contextmanager
def agent_of(server: HostileServer, scheduler: ScriptedExecutor, folder: Path, **options: Any) -> Iterator[Crew]:
    with crew(CLUSTER, server.address, folder, executor=scheduler, **options) as agent:
        yield agent


@pytest.fixture
def hire(server: HostileServer, scheduler: ScriptedExecutor, tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(agent_of(server, scheduler, tmp_path / "state", **options))


def line(jobid: int = 7, **fields: Any) -> str:
    plain = {"id": jobid, "cluster": NAME, "name": "n", "nodes": 1, "tasks": 0, "command": "true"}
    return json.dumps({**plain, **fields})


BROKEN: list[tuple[str, str]] = [
    (line(environment={"A=1; id; B": "x"}), "environment: names must be letters, digits and underscores"),
    (line(environment={"A\x1b[2J\nB": "x"}), "environment: names must be letters, digits and underscores"),
    (line(environment={"A": "\0"}), "environment: values must not contain a null character"),
    (line(environment={"A": 1}), "environment: must be an object whose values are strings"),
    (line(environment={"A": "x" * 65_536}), "environment: must be at most 65,536 bytes in all"),
    (line(environment="A=1"), "environment: must be an object"),
    (line(time_limit_seconds=-1), "time_limit_seconds: must be 0 to 31,536,000, not -1"),
    (line(time_limit_seconds=10**30), "time_limit_seconds: must be a whole number of 32 bits"),
    (line(nodes=0), "nodes: must be 1 to 2,147,483,647, not 0"),
    (line(nodes="1"), "nodes: must be a whole number"),
    (line(nodes=True), "nodes: must be a whole number"),
    (line(tasks=-5), "tasks: must be 0 to"),
    (line(tasks=1.5), "tasks: must be a whole number"),
    (line(command=""), "command: must not be empty"),
    (line(command="a\0b"), "command: must not contain control characters"),
    (line(command="x" * 65_537), "command: must be at most 65,536 bytes"),
    (line(command=["true"]), "command: must be a string"),
    (line(command="\udcff"), "command: must be valid UTF-8"),
    (line(name="n\x1b"), "name: must not contain control characters"),
    (line(priority=101), "priority: must be -100 to 100"),
    (line(labels={"a b": ""}), "labels: keys must be"),
    (line(labels={str(number): "" for number in range(33)}), "labels: must be at most 32"),
    (line(working_directory="tmp"), "working_directory: must be an absolute path"),
    (line(working_directory="/a\nb"), "working_directory: must not contain control characters"),
    (line(attempt=0), "attempt: must be 1 to"),
    (line(8), "id: must be 7, as the answer says, not 8"),
    (line(cluster="oreo"), "cluster: must be keebler, not 'oreo'"),
    ('{"id": 7, "cluster": "keebler", "name": "n", "nodes": 1, "tasks": 0}', "command: is missing"),
    ('{"command": "a", "command": "b"}', "command: stands twice"),
    ("[" * 100_000, "is no job"),
    ("1" * 5_000, "is no job"),
    ("{", "is not JSON"),
    ("5", "is not a JSON object"),
    ("\x1b]0;title\x07", "is not JSON"),
]


@pytest.mark.parametrize(
    ("broken", "reason"), BROKEN, ids=[f"{place} {reason[:40]}" for place, (_, reason) in enumerate(BROKEN)]
)
def test_a_job_that_breaks_a_rule_fails_with_the_reason_and_the_others_run(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew], broken: str, reason: str
) -> None:
    server.lines = {7: broken, 9: line(9, name="good")}
    agent = hire()

    agent.work(lambda: server.ended(7) and scheduler.jobs)

    report = server.reports[7]
    assert report.state == pb.JOB_STATE_FAILED
    assert report.reason.startswith(f"the server sent a job that breaks the protocol: {reason}")
    assert report.reason.isprintable()
    assert scheduler.handed_over == ["rainbow-9-1"]


class Died(BaseException):
    """As if by kill -9: nothing catches it."""


def _die_when(doom: Checkpoint) -> Callable[[Checkpoint], None]:
    def die(moment: Checkpoint) -> None:
        if moment == doom:
            raise Died

    return die


def test_a_broken_job_stays_refused_when_the_agent_dies_before_it_said_so(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew]
) -> None:
    server.lines = {7: line(nodes=-1)}
    agent = hire()
    agent.checkpoint = _die_when(Checkpoint.ACCEPTED_NOTED)
    with pytest.raises(Died):
        agent.work(lambda: False)
    assert not server.reports

    agent.checkpoint = ignore_checkpoint
    agent.restart()
    agent.work(lambda: server.ended(7))

    assert "nodes: must be 1" in server.reports[7].reason
    assert not scheduler.handed_over


ANSWERS: list[tuple[dict[str, Any], str]] = [
    ({"jobids": [7, 7]}, "it offers the same job twice"),
    ({"jobids": [7, 8]}, "its jobs are not those whose order it tells"),
    ({"jobs": {-7: line(-7)}, "jobids": [-7]}, "it offers a job without an id"),
    ({"jobs": {number: line(number) for number in range(1, 502)}}, "it offers 501 jobs, and"),
    ({"status": 3}, "does not understand"),
]


@pytest.mark.parametrize(("further", "words"), ANSWERS, ids=[words for _, words in ANSWERS])
def test_an_answer_that_breaks_the_protocol_as_a_whole_is_not_believed_at_all(
    server: HostileServer,
    scheduler: ScriptedExecutor,
    hire: Callable[..., Crew],
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
def test_whatever_a_server_sends_only_what_the_protocol_allows_is_handed_over(
    server: HostileServer, spec: dict[str, Any]
) -> None:
    _allowed_or_refused(server, spec, allowed=_is_allowed(spec))


@SHARED
@given(name=st.sampled_from(sorted({*FIELDS, "id", "cluster", "attempt"})), value=any_json)
def test_a_value_of_any_other_kind_is_refused(server: HostileServer, name: str, value: Any) -> None:
    spec = {"command": "true", name: value}
    good_kind = name in FIELDS and _is_allowed(spec)

    _allowed_or_refused(server, spec, allowed=good_kind or (name == "attempt" and type(value) is int and value > 0))


def _allowed_or_refused(server: HostileServer, spec: dict[str, Any], *, allowed: bool) -> None:
    server.lines, scheduler = {7: line(**spec)}, ScriptedExecutor(most_slots=2**63)
    server.accepted.clear()
    server.reports.clear()
    with (
        tempfile.TemporaryDirectory() as folder,
        # It has room for a job of any size.
        agent_of(server, scheduler, Path(folder), ahead=5) as agent,
    ):
        agent.work(lambda: scheduler.jobs or server.ended(7))

    assert bool(scheduler.jobs) == allowed
    for work in scheduler.jobs.values():
        assert work.command == spec["command"]
        own = {name for name in work.environment if name in OWN_VARIABLES}
        assert {name: value for name, value in work.environment.items() if name not in own} == spec.get(
            "environment", {}
        )
        assert work.time_limit_seconds == spec.get("time_limit_seconds", 0)


# Of the fields that are no texts, as JSON has them.
KINDS = {
    **dict.fromkeys(("environment", "labels", "options_by_cluster", "inputs", "secrets"), dict),
    **dict.fromkeys(("nodes", "tasks", "priority", "time_limit_seconds", "cores_per_task", "gpus_per_task"), int),
    **dict.fromkeys(("memory_mib_per_node", "start_within_seconds"), int),
    **dict.fromkeys(("mounts", "needs", "outputs"), list),
    "exclusive": bool,
}


def _is_allowed(spec: dict[str, Any]) -> bool:
    """By the server's own rules, for values of the right kinds."""
    for name, value in spec.items():
        kind = list if isinstance(value, tuple) else type(value)
        if kind is not KINDS.get(name, str):
            return False
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        if not all(isinstance(item, str) for item in parts):
            return False
    try:
        check_spec(JobSpec(**spec))
    except InvalidArgument:
        return False
    return True


# What a server says that the agent holds already


def held(**fields: Any) -> pb.Job:
    plain = {"id": 7, "cluster": NAME, "command": "true", "nodes": 1, "attempt": 1, "state": pb.JOB_STATE_ACCEPTED}
    return pb.Job(**{**plain, **fields})


@pytest.mark.parametrize("native_id", ["", "rainbow-7-1", "12345", "--user=root"])
def test_a_job_that_the_agent_is_said_to_hold_does_not_get_past_the_policy(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew], native_id: str
) -> None:
    agent = hire(policy=Policy(max_nodes=1))
    server.held = [held(nodes=2, native_id=native_id, agent=agent.agent._context.settings.agent)]

    agent.work(lambda: server.ended(7))

    assert not scheduler.handed_over
    assert server.reports[7].state == pb.JOB_STATE_FAILED


def test_a_job_that_the_agent_is_said_to_hold_does_not_get_past_the_rules(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew]
) -> None:
    agent = hire()
    server.held = [held(environment={"A=1; id; B": ""}, agent=agent.agent._context.settings.agent)]

    agent.work(lambda: server.ended(7))

    assert "environment: names must be" in server.reports[7].reason
    assert not scheduler.handed_over


@pytest.mark.parametrize("native_id", ["--user=root", "4711"])
def test_no_native_id_of_a_servers_making_reaches_the_scheduler(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew], native_id: str
) -> None:
    agent = hire()
    server.held = [held(native_id=native_id, state=pb.JOB_STATE_RUNNING, agent=agent.agent._context.settings.agent)]

    agent.work(lambda: server.ended(7))

    assert "the scheduler knows no job of this name" in server.reports[7].reason
    assert set(scheduler.calls) <= {"find", "capacity"}


def test_a_job_that_the_scheduler_has_is_adopted_under_its_own_id(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew]
) -> None:
    agent = hire()
    scheduler.jobs["rainbow-7-1"] = None  # type: ignore[assignment]
    server.held = [held(native_id="4711", state=pb.JOB_STATE_RUNNING, agent=agent.agent._context.settings.agent)]

    agent.work(lambda: 7 in server.reports)

    assert server.reports[7].native_id == "native-rainbow-7-1"
    assert not scheduler.handed_over


def test_a_job_of_the_journal_meets_the_rules_and_the_policy_again_before_it_is_handed_over(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew]
) -> None:
    server.lines = {7: line(nodes=2)}
    agent = hire()
    scheduler.silent = {"submit"}
    agent.work(lambda: scheduler.handed_over)
    scheduler.jobs.clear()
    scheduler.silent = set()

    agent.policy = Policy(max_nodes=1)
    agent.restart()
    agent.work(lambda: server.ended(7))

    assert server.reports[7].reason == "2 nodes are more than the 1 that this cluster allows"
    assert scheduler.handed_over == ["rainbow-7-1"]


def test_a_server_that_gives_other_jobs_than_were_wanted_gets_none_run(
    server: HostileServer, scheduler: ScriptedExecutor, hire: Callable[..., Crew], caplog: pytest.LogCaptureFixture
) -> None:
    server.lines = {7: line()}
    server.attempts = {7: -1}
    agent = hire()

    agent.work(lambda: "it gives a job without an attempt" in caplog.text)

    assert not scheduler.handed_over


def test_a_server_that_hears_of_no_end_cannot_fill_the_journal(
    server: HostileServer, hire: Callable[..., Crew]
) -> None:
    server.lines = {jobid: line(jobid, nodes=0) for jobid in range(1, 10)}
    server.deaf = True
    agent = hire()
    agent.work(lambda: server.accepted)

    server.lines |= {jobid: line(jobid, nodes=0) for jobid in range(10, 100)}
    for _ in range(20):
        agent.agent.step()

    assert max(server.accepted) < 10
