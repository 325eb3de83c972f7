"""A real Prometheus reads server and agent, and raises an alert."""

import re
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.support import processes
from tests.support.patience import wait_until
from tests.support.prometheus import PROMETHEUS, Monitored, monitored
from tests.test_prometheus_files import RULES, expressions_of, panels

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="needs Prometheus: apt-get install prometheus")


@pytest.fixture(scope="module")
def watched(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    """With the alerts as they are, except that none waits before it fires."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = folder / "rules.yml"
    rules.write_text(re.sub(r"for: \d+m", "for: 0s", RULES.read_text()))
    with monitored(new_database(), folder, rules=rules) as running:
        wait_until(lambda: running.health() == {"rainbow": "up", "rainbow-agent": "up"})
        yield running


def test_server_and_agent_are_up(watched: Monitored) -> None:
    wait_until(lambda: watched.value('rainbow_process_up{job="rainbow",process="grpc-1"}') == 1)
    wait_until(lambda: watched.value("rainbow_agent_last_contact_timestamp_seconds > 0") is not None)
    wait_until(lambda: watched.value('rainbow_jobs{cluster="keebler",state="queued"}') == 0)
    # One that takes longer than a second to answer is down until it is asked again.
    wait_until(lambda: not {"RainbowDatabaseDown", "RainbowAgentDown"} & watched.firing())


def test_prometheus_answers_every_expression_of_the_dashboard(watched: Monitored) -> None:
    for panel in panels():
        for expression in expressions_of(panel):
            assert watched.ask("query", query=expression) is not None, expression


def test_an_agent_that_ends_raises_an_alert(watched: Monitored) -> None:
    processes.stop(watched.agent, gently=signal.SIGTERM)

    wait_until(lambda: "RainbowAgentDown" in watched.firing())
    wait_until(lambda: watched.health() == {"rainbow": "up", "rainbow-agent": "down"})
