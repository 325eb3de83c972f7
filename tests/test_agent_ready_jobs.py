"""Where jobs end quickly the next ones are accepted before there is room for them, and start as soon as there is."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Thread

import pytest

from rainbow.agent import acceptor
from rainbow.executors.executor import Access, Capacity, Ending, JobPhase, NoRoom, Progress, Ticket
from rainbow.records import JobSpec, JobState
from rainbow.specs import Work
from tests.support.agent_cast import RUNNING, Hire, key
from tests.support.agents import Crew, ScriptedExecutor
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.test_agent_pools import job_of, pooled

LONG = timedelta(hours=1)
SLOTS = 2
COMPLETED = Progress(phase=JobPhase.ENDED, ending=Ending.EXITED, exit_code=0)


@dataclass(slots=True, kw_only=True)
class QuickExecutor(ScriptedExecutor):
    """What it has is over at once, but for what it got while it is `slow`. While it is `full` it takes nothing.
    `answers`: not before it takes or refuses.
    """

    full: bool = False
    slow: bool = False
    going: set[str] = field(default_factory=set)
    ended: Progress = COMPLETED
    answers: Event = field(default_factory=Event)
    asked: int = 0

    def __post_init__(self) -> None:
        self.answers.set()

    def capacity(self) -> Capacity:
        return Capacity() if self.full else Capacity(nodes=SLOTS, slots=SLOTS)

    def submit(self, work: Work, key: str) -> str:
        self.asked += not self.answers.is_set()
        self.answers.wait(PATIENCE_SECONDS)
        if self.full:
            raise NoRoom("no slot is free")
        if self.slow:
            self.going.add(key)
        return ScriptedExecutor.submit(self, work, key)

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        return {ticket.key: RUNNING if ticket.key in self.going else self.ended for ticket in tickets}


@pytest.fixture
def quick() -> QuickExecutor:
    return QuickExecutor(access=Access(description="by the test", at_once=2, waits_for_room=True))


@pytest.fixture
def many(hire: Hire, quick: QuickExecutor, monkeypatch: pytest.MonkeyPatch) -> Crew:
    """Its jobs of the last hour count as quick, so that no slow machine decides."""
    monkeypatch.setattr(acceptor, "READY_FOR", LONG)
    return hire(executor=quick)


def submitted(crew: Crew, count: int) -> list[int]:
    return [result.jobid for result in crew.client.submit_jobs([JobSpec(command="true")] * count).results]


def accepted_without_room(crew: Crew, quick: QuickExecutor, count: int = 1) -> list[int]:
    """After more jobs than there are slots have ended."""
    crew.finish(*submitted(crew, SLOTS + 1))
    quick.full = True
    jobids = submitted(crew, count)
    crew.work(lambda: all(crew.job(jobid).state == JobState.ACCEPTED for jobid in jobids))
    return jobids


def all_slots_taken(crew: Crew, quick: QuickExecutor) -> None:
    """By jobs that go on."""
    quick.slow = True
    jobids = submitted(crew, SLOTS)
    crew.work(lambda: all(crew.job(jobid).state == JobState.RUNNING for jobid in jobids))
    quick.full = True


def test_jobs_are_accepted_before_there_is_room_and_start_once_when_there_is(many: Crew, quick: QuickExecutor) -> None:
    jobids = accepted_without_room(many, quick, SLOTS + 1)
    many.work(lambda: all("no slot is free" in many.job(jobid).reason for jobid in jobids))

    quick.full = False
    done = many.finish(*jobids)

    assert {(job.state, job.attempt, job.reason) for job in done} == {(JobState.COMPLETED, 1, "")}
    assert [quick.handed_over.count(key(jobid)) for jobid in jobids] == [1] * len(jobids)
    assert many.agent.troubles == 0


def test_a_job_that_is_cancelled_while_it_waits_for_others_to_be_handed_over_never_is(
    many: Crew, quick: QuickExecutor
) -> None:
    *others, last = jobids = accepted_without_room(many, quick, SLOTS + 1)
    quick.answers.clear()
    many.work(lambda: quick.asked == SLOTS and quick.full)

    many.client.cancel_jobs([last])
    many.clock.move(16)
    many.work(lambda: key(last) in quick.cancelled)
    quick.full = False
    quick.answers.set()
    done = many.finish(*jobids)

    assert [job.state for job in done] == [JobState.COMPLETED] * SLOTS + [JobState.CANCELLED]
    assert [quick.handed_over.count(key(jobid)) for jobid in (*others, last)] == [1] * SLOTS + [0]


def test_a_job_that_gets_no_room_waits_for_any_agent_again(
    many: Crew, quick: QuickExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jobid,) = accepted_without_room(many, quick)
    many.work(lambda: many.job(jobid).reason)

    monkeypatch.setattr(acceptor, "READY_FOR", timedelta())
    many.clock.move(6)
    many.work(lambda: many.job(jobid).state == JobState.QUEUED)
    assert "no slot is free" in many.job(jobid).reason

    quick.full = False
    many.clock.move(6)
    (job,) = many.finish(jobid)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert not quick.handed_over.count(key(jobid))


def test_no_job_is_accepted_without_room_where_fewer_ended_than_there_are_slots(
    many: Crew, quick: QuickExecutor
) -> None:
    many.finish(*submitted(many, SLOTS))
    all_slots_taken(many, quick)
    (jobid,) = submitted(many, 1)

    for _ in range(20):
        many.clock.move(6)
        many.agent.step()

    assert many.job(jobid).state == JobState.QUEUED


def test_a_job_of_a_pool_that_may_start_elsewhere_is_not_accepted_without_room(
    many: Crew, quick: QuickExecutor, server: RainbowServer, remote: Remote, other_remote: Remote
) -> None:
    many.finish(*submitted(many, SLOTS + 1))
    all_slots_taken(many, quick)
    with pooled(server, remote.name, other_remote.name) as pool:
        jobid = pool.submit_job(JobSpec(command="true")).jobid
        for _ in range(20):
            many.clock.move(6)
            many.agent.step()

        assert job_of(pool, jobid).state == JobState.QUEUED


def test_failures_are_no_reason_to_accept_more(many: Crew, quick: QuickExecutor) -> None:
    """The server holds a token's jobs back after some that fail at once: no more of them should be here by then."""
    quick.ended = Progress(phase=JobPhase.ENDED, ending=Ending.EXITED, exit_code=1)
    many.finish(*submitted(many, SLOTS + 1))
    all_slots_taken(many, quick)
    (jobid,) = submitted(many, 1)

    for _ in range(20):
        many.clock.move(6)
        many.agent.step()

    assert many.job(jobid).state == JobState.QUEUED


def test_an_agent_that_stops_leaves_what_is_ready_to_the_next_one(many: Crew, quick: QuickExecutor) -> None:
    jobids = accepted_without_room(many, quick, SLOTS + 1)
    stopping = Thread(target=many.agent.run)
    many.agent.drain()
    stopping.start()
    stopping.join(PATIENCE_SECONDS)
    assert not stopping.is_alive()

    quick.full = False
    many.restart()
    done = many.finish(*jobids)

    assert {(job.state, job.attempt) for job in done} == {(JobState.COMPLETED, 1)}
    assert [quick.handed_over.count(key(jobid)) for jobid in jobids] == [1] * len(jobids)
