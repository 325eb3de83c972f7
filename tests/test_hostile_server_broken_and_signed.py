"""What breaks the protocol is refused with the reason also by an agent that runs only what a person signed."""

from typing import Any

import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.agents import ScriptedExecutor
from tests.support.hostile_server import HostileServer
from tests.test_hostile_server import ANSWERS, BROKEN, line
from tests.test_hostile_server_signed import Hire, hire, offer, server, signed, users_toml

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
