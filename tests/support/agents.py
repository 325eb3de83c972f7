"""Agents in this process, whose steps and clock the test controls."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rainbow.agent.agent import Agent
from rainbow.agent.context import AgentContext, AgentSettings, Checkpoint, ignore_checkpoint, no_secret
from rainbow.agent.identity import identity_in
from rainbow.agent.journal import Journal
from rainbow.agent.people import People
from rainbow.agent.policy import Policy
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.site_secrets import SiteSecrets
from rainbow.agent.steady_clock import SteadyClock
from rainbow.client import Client
from rainbow.executors.executor import Access, Capacity, Executor, JobPhase, Progress, SchedulerSilent, Site, Ticket
from rainbow.executors.folders import MOST_LISTED, Listed
from rainbow.executors.table import EXECUTORS
from rainbow.facts import Facts, Value
from rainbow.records import Job, JobSpec
from rainbow.specs import Work
from tests.support.patience import PATIENCE_SECONDS
from tests.support.wire import Remote

PENDING = Progress(phase=JobPhase.PENDING)


@dataclass(slots=True)
class Clock:
    """Goes with that of the machine, from `stop` to `go_on` only as it is moved: a machine that stalls moves it not."""

    ahead: timedelta = timedelta()
    stopped_at: datetime | None = None

    def now(self) -> datetime:
        return (self.stopped_at or datetime.now(UTC)) + self.ahead

    def stop(self) -> None:
        self.stopped_at = datetime.now(UTC)

    def go_on(self) -> None:
        self.stopped_at = None

    def move(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass(slots=True, kw_only=True)
class ScriptedExecutor:
    """A scheduler under the test's control. `mishaps` are raised when a job of that command is submitted, those of
    `batch of COMMAND` when one is submitted with others, of which it takes `together`, but none `not with others`.
    """

    free: Capacity = field(default_factory=lambda: Capacity(nodes=4, slots=8))
    mishaps: dict[str, Exception] = field(default_factory=dict)
    most_slots: int = 1000
    has: Facts = field(default_factory=Facts)
    silent: set[str] = field(default_factory=set)
    jobs: dict[str, Work] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    handed_over: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    outputs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    signals: list[tuple[str, str]] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    before_each: Callable[[], None] = lambda: None
    access: Access = field(default_factory=lambda: Access(description="by the test"))
    changed: Callable[[], None] = lambda: None
    together: int = 0
    batches_handed_over: list[list[str]] = field(default_factory=list)

    def capacity(self) -> Capacity:
        self._called("capacity")
        return self.free

    def facts(self) -> Facts:
        if "facts" in self.silent:
            raise SchedulerSilent("facts timed out")
        return self.has

    def slots(self, work: Work) -> int:
        return max(work.nodes, work.tasks)

    def never(self, work: Work) -> str:
        return "too large for ever" if self.slots(work) > self.most_slots else ""

    def submit(self, work: Work, key: str) -> str:
        self.handed_over.append(key)
        if mishap := self.mishaps.get(work.command):
            raise mishap
        self.jobs[key] = work
        self._called("submit")
        return f"native-{key}"

    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        return [list(works)[:most] for most in [self.together] if most > 1 and len(works) > 1]

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        self.batches_handed_over.append(list(works))
        for mishap in (self.mishaps.get(f"batch of {work.command}") for work in works.values()):
            if mishap:
                raise mishap
        taken = {key: work for key, work in works.items() if work.command != "not with others"}
        self.jobs |= taken
        self._called("submit_together")
        return {key: f"native-{key}" for key in taken}

    def find(self, keys: Collection[str]) -> dict[str, str]:
        self._called("find")
        return {key: f"native-{key}" for key in keys if key in self.jobs}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        self._called("watch")
        return {ticket.key: self.progress.get(ticket.key, PENDING) for ticket in tickets}

    def notify(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def cancel(self, tickets: Collection[Ticket]) -> None:
        self._called("cancel")
        self.cancelled.extend(ticket.key for ticket in tickets)

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        self._called("withdraw")
        self.withdrawn.extend(ticket.key for ticket in tickets)

    def signal(self, ticket: Ticket, name: str) -> None:
        self._called("signal")
        if ticket.key in self.deaf:
            raise SchedulerSilent("it does not take the signal")
        self.signals.append((ticket.key, name))

    def output(self, ticket: Ticket) -> str:
        return f"output of {ticket.key}\n"

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        return self.outputs.get((ticket.key, output), b"")[start : start + most_bytes]

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        return Listed(files=(), more=False)

    def forget_secrets(self, ticket: Ticket) -> None:
        """It has none."""

    def size(self, ticket: Ticket, output: str) -> int:
        return len(self.outputs.get((ticket.key, output), b""))

    def kept_bytes(self, ticket: Ticket) -> int:
        return self.kept.get(ticket.key, 0)

    def forget(self, ticket: Ticket) -> None:
        self.forgotten.append(ticket.key)

    def tidy(self, running: Collection[Ticket]) -> bool:
        return False

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before_each()
        if name in self.silent:
            raise SchedulerSilent(f"{name} timed out")


@dataclass(kw_only=True)
class Crew:
    """A cluster's submitter and its agent. `restart` replaces `agent`, as a new process would.

    To move `clock` lets time pass; with a `steady_clock` it only sets the machine's clock.
    """

    client: Client
    agents_client: Client
    executor: Any
    folder: Path
    clock: Clock
    policy: Policy
    site_facts: dict[str, Value]
    people: People
    signatures: RequiredSignatures | None
    secrets: SiteSecrets
    settings: dict[str, Any]
    checkpoint: Callable[[Checkpoint], None] = ignore_checkpoint
    read_secret: Callable[[], str] = no_secret
    stack: ExitStack
    steady_clock: SteadyClock | None = None
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        self._start()

    def submit(self, command: str = "true", **more: Any) -> int:
        return self.client.submit_job(JobSpec(command=command, **more)).jobid

    def job(self, jobid: int, **more: Any) -> Job:
        return self.client.get_jobs([jobid], **more).jobs[0]

    def work(self, done: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it did not come about"
            if not self.agent.step():
                time.sleep(0.02)

    def work_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.work(lambda: time.monotonic() >= until)

    def finish(self, *jobids: int) -> list[Job]:
        """Work until these jobs are final and the agent has noted that their ends were reported."""
        self.work(lambda: all(self.job(jobid).finished_at for jobid in jobids))
        self.work(lambda: not self.journal.unreported())
        return [self.job(jobid) for jobid in jobids]

    def restart(self) -> None:
        """As after a kill."""
        self.agent._acceptor.withdraw()
        self.journal.close()
        self._start()

    def _start(self) -> None:
        self.journal = Journal(self.folder)
        settings = AgentSettings(
            agent=identity_in(self.folder, "login1"), **{"interval_seconds": 0.05, **self.settings}
        )
        context = AgentContext(
            client=self.agents_client,
            executor=self.executor,
            settings=settings,
            policy=self.policy,
            site_facts=self.site_facts,
            people=self.people,
            signatures=self.signatures,
            secrets=self.secrets,
            clock=self.steady_clock.now if self.steady_clock else self.clock.now,
            wall_clock=self.clock.now,
            checkpoint=lambda moment: self.checkpoint(moment),
            read_secret=lambda: self.read_secret(),
        )
        self.agent = Agent(context, self.journal)


@contextmanager
def crew(
    cluster: Remote,
    address: str,
    folder: Path,
    *,
    executor: Any = None,
    policy: Policy | None = None,
    site_facts: dict[str, Value] | None = None,
    people: People | None = None,
    signatures: RequiredSignatures | None = None,
    secrets: SiteSecrets | None = None,
    timeout_seconds: float = 5,
    **settings: Any,
) -> Iterator[Crew]:
    """An agent of the cluster; without an `executor`, one that runs jobs on this machine."""
    with ExitStack() as stack:
        known: dict[str, Any] = {"cluster": cluster.name, "token": cluster.token, "secret": cluster.secret}
        made = Crew(
            client=stack.enter_context(Client(address, timeout_seconds=PATIENCE_SECONDS, **known)),
            # As `rainbow agent` has it: with the secret alone.
            agents_client=stack.enter_context(
                Client(address, timeout_seconds=timeout_seconds, cluster=cluster.name, secret=cluster.secret)
            ),
            executor=executor or local(folder),
            folder=folder,
            clock=Clock(),
            policy=policy or Policy(),
            site_facts=site_facts or {},
            people=people or People(),
            signatures=signatures,
            secrets=secrets or SiteSecrets(),
            settings=settings,
            stack=stack,
        )
        yield made
        made.agent._acceptor.withdraw()
        made.journal.close()


def local(folder: Path, *, slots: int = 8) -> Executor:
    return EXECUTORS["local"].make(Site(folder=folder, environment=dict(os.environ), slots=slots))


class Hesitant:
    """Runs jobs on this machine, and reports each as pending and as running once before its end: no state is skipped,
    however slowly the test polls.
    """

    def __init__(self, folder: Path) -> None:
        self._executor = local(folder)
        self._waited: set[str] = set()
        self._ran: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        return {key: self._told(key, seen) for key, seen in self._executor.watch(tickets).items()}

    def _told(self, key: str, seen: Progress) -> Progress:
        if key not in self._waited:
            self._waited.add(key)
            return PENDING
        if key not in self._ran and seen.started_at:
            self._ran.add(key)
            return Progress(phase=JobPhase.RUNNING, started_at=seen.started_at)
        return seen


def ended(now: datetime, **how: Any) -> Progress:
    """A progress of a job that ended now after ten seconds."""
    return replace(Progress(phase=JobPhase.ENDED, started_at=now - timedelta(seconds=10), ended_at=now), **how)
