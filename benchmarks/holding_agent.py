"""An agent of a scheduler that takes every job at once and ends none.

    python -m benchmarks.holding_agent ADDRESS CLUSTER SECRET FOLDER JOBS

Its executor answers from memory, so what it costs is the agent's own.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rainbow.agent.agent import Agent
from rainbow.agent.context import AgentContext, AgentSettings
from rainbow.agent.identity import identity_in
from rainbow.agent.journal import Journal
from rainbow.client import Client
from rainbow.executors.executor import Access, Capacity, JobPhase, Progress, Ticket
from rainbow.executors.folders import MOST_LISTED, Listed
from rainbow.executors.one_by_one import OneByOne
from rainbow.facts import Facts
from rainbow.specs import Work

RUNNING = Progress(phase=JobPhase.RUNNING, started_at=datetime.now(UTC))


class EndlessExecutor(OneByOne):
    """Room for so many jobs, which run for ever."""

    access = Access(description="in memory")

    def __init__(self, jobs: int) -> None:
        self._room = jobs
        self._has: set[str] = set()

    def capacity(self) -> Capacity:
        free = self._room - len(self._has)
        return Capacity(nodes=free, slots=free)

    def facts(self) -> Facts:
        return Facts()

    def slots(self, work: Work) -> int:
        return 1

    def never(self, work: Work) -> str:
        return ""

    def submit(self, work: Work, key: str) -> str:
        self._has.add(key)
        return key

    def find(self, keys: Collection[str]) -> dict[str, str]:
        return {key: key for key in keys if key in self._has}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        return {ticket.key: RUNNING for ticket in tickets}

    def notify(self, changed: Callable[[], None]) -> None:
        """Nothing changes."""

    def cancel(self, tickets: Collection[Ticket]) -> None:
        raise NotImplementedError

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        raise NotImplementedError

    def signal(self, ticket: Ticket, name: str) -> None:
        raise NotImplementedError

    def output(self, ticket: Ticket) -> str:
        return ""

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        return b""

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        return Listed(files=(), more=False)

    def forget_secrets(self, ticket: Ticket) -> None:
        """There are none."""

    def size(self, ticket: Ticket, output: str) -> int:
        return 0

    def kept_bytes(self, ticket: Ticket) -> int:
        return 0

    def forget(self, ticket: Ticket) -> None:
        """There is nothing."""

    def tidy(self, running: Collection[Ticket]) -> bool:
        return False


def main(address: str, cluster: str, secret: str, folder: Path, jobs: int) -> None:
    settings = AgentSettings(agent=identity_in(folder, "holding"))
    with Client(address, cluster=cluster, secret=secret) as client, Journal(folder) as journal:
        Agent(AgentContext(client=client, executor=EndlessExecutor(jobs), settings=settings), journal).run()


if __name__ == "__main__":
    _, address, cluster, secret, folder, jobs = sys.argv
    main(address, cluster, secret, Path(folder), int(jobs))
