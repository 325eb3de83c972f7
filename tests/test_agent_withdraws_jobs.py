"""Jobs that do not start in time: the agent withdraws and returns them, and each runs once, wherever it was killed."""

from collections.abc import Callable
from typing import Any

import pytest

from rainbow.agent.context import Checkpoint
from rainbow.executors.endings import cancelled, withdrawn
from rainbow.executors.executor import NotTaken, SchedulerSilent
from rainbow.records import JobState
from tests.support.agent_cast import RUNNING, SUCCESS, Hire, handed_over, key
from tests.support.agents import Crew, ScriptedExecutor, ended

WITHIN = 600


class Killed(BaseException):
    """As by `kill -9`: no handler of the agent sees it."""


class Returning(ScriptedExecutor):
    """Withdraws at once what it did not start."""

    def withdraw(self, tickets: Any) -> None:
        super().withdraw(tickets)
        for ticket in tickets:
            self.progress.setdefault(ticket.key, withdrawn())


@pytest.fixture
def scheduler() -> ScriptedExecutor:
    return Returning()


def overdue(crew: Crew, **more: Any) -> int:
    """A job that the scheduler has had for too long without starting it."""
    jobid = handed_over(crew, start_within_seconds=WITHIN, **more)
    crew.clock.move(WITHIN + 1)
    return jobid


def reasons(crew: Crew, jobid: int) -> list[str]:
    return [event.why for event in crew.job(jobid, with_events=True).events]


def test_a_job_that_does_not_start_in_time_waits_again(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = overdue(scripted)

    scripted.work(lambda: scripted.job(jobid).attempt == 2)

    assert scheduler.withdrawn == [key(jobid)]
    assert "it did not start in time, and was withdrawn from the scheduler" in reasons(scripted, jobid)
    scripted.work(lambda: f"rainbow-{jobid}-2" in scheduler.jobs)
    assert scheduler.handed_over == [key(jobid), f"rainbow-{jobid}-2"]


@pytest.mark.parametrize(
    ("within", "waited"), [(0, 10_000_000), (WITHIN, WITHIN - 60)], ids=["without a bound", "before its time"]
)
def test_a_job_that_may_wait_is_left_alone(
    scripted: Crew, scheduler: ScriptedExecutor, within: int, waited: int
) -> None:
    jobid = handed_over(scripted, start_within_seconds=within)

    scripted.clock.move(waited)
    watched = scheduler.calls.count("watch")
    scripted.work(lambda: scheduler.calls.count("watch") > watched + 3)

    assert not scheduler.withdrawn
    assert scripted.job(jobid).attempt == 1


def test_a_job_that_runs_is_left_alone(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted, start_within_seconds=WITHIN)
    scheduler.progress[key(jobid)] = RUNNING
    scripted.work(lambda: scripted.job(jobid).state == JobState.RUNNING)

    scripted.clock.move(10 * WITHIN)
    watched = scheduler.calls.count("watch")
    scripted.work(lambda: scheduler.calls.count("watch") > watched + 3)

    assert not scheduler.withdrawn


def test_a_job_that_started_meanwhile_runs_on(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted, start_within_seconds=WITHIN)
    scheduler.before_each = lambda: "withdraw" in scheduler.calls and scheduler.progress.setdefault(key(jobid), RUNNING)  # type: ignore[func-returns-value]
    scripted.clock.move(WITHIN + 1)

    scripted.work(lambda: scripted.job(jobid).state == JobState.RUNNING)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), **SUCCESS)
    (job,) = scripted.finish(jobid)

    assert (job.state, job.attempt, scheduler.withdrawn) == (JobState.COMPLETED, 1, [key(jobid)])


def test_a_job_that_was_cancelled_in_the_scheduler_meanwhile_is_not_given_back(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    jobid = handed_over(scripted, start_within_seconds=WITHIN)
    scheduler.progress[key(jobid)] = cancelled()
    scripted.clock.move(WITHIN + 1)

    (job,) = scripted.finish(jobid)

    assert (job.state, job.reason, job.attempt) == (JobState.CANCELLED, "cancelled in the scheduler", 1)


def test_the_scheduler_is_asked_once_in_the_time_that_a_job_has(hire: Hire) -> None:
    scheduler = ScriptedExecutor()
    agent = hire(executor=scheduler)
    jobid = overdue(agent)

    for _ in range(3):
        watched = scheduler.calls.count("watch")
        agent.work(lambda: scheduler.calls.count("watch") > watched + 3)  # noqa: B023
    once = list(scheduler.withdrawn)
    agent.clock.move(WITHIN)
    agent.work(lambda: len(scheduler.withdrawn) > 1)

    assert once == [key(jobid)]
    assert scheduler.withdrawn == [key(jobid)] * 2


def test_a_scheduler_that_does_not_answer_is_asked_again_soon(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.silent = {"withdraw"}
    jobid = overdue(scripted)
    scripted.work(lambda: "withdraw" in scheduler.calls)

    scheduler.silent = set()
    scripted.clock.move(15)

    scripted.work(lambda: scripted.job(jobid).attempt == 2)
    assert scheduler.withdrawn == [key(jobid)]


def test_a_job_that_is_cancelled_while_it_is_withdrawn_ends(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = overdue(scripted)
    strike_at(scripted, Checkpoint.WITHDRAWN, lambda: scripted.client.cancel_jobs([jobid], reason="no longer wanted"))

    (job,) = scripted.finish(jobid)

    assert (job.state, job.reason, job.attempt) == (JobState.CANCELLED, "no longer wanted", 1)


def test_a_job_that_is_to_be_stopped_is_not_withdrawn(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted, start_within_seconds=WITHIN)
    scripted.client.cancel_jobs([jobid])
    scripted.clock.move(WITHIN + 1)

    scripted.work(lambda: key(jobid) in scheduler.cancelled)
    scheduler.progress[key(jobid)] = withdrawn()
    (job,) = scripted.finish(jobid)

    assert (job.state, scheduler.withdrawn) == (JobState.CANCELLED, [])


def test_an_agent_that_drains_withdraws_nothing_anew(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = overdue(scripted)

    scripted.agent.drain()
    scripted.agent.run()
    drained = list(scheduler.withdrawn)
    scripted.restart()
    scripted.work(lambda: scripted.job(jobid).attempt == 2)

    assert drained == []


def test_an_agent_that_runs_once_returns_what_does_not_start(hire: Hire) -> None:
    """And takes it again, since no other cluster may: until it starts."""
    scheduler = Returning()
    agent = hire(executor=scheduler, folder="once")
    jobid = agent.submit(start_within_seconds=WITHIN)

    def time_goes_by() -> None:
        second = f"rainbow-{jobid}-2"
        if second in scheduler.jobs:
            scheduler.progress.setdefault(second, ended(agent.clock.now(), **SUCCESS))
        elif key(jobid) in scheduler.jobs:
            agent.clock.move(10)

    scheduler.before_each = time_goes_by
    agent.agent.run(once=True)

    job = agent.job(jobid)
    assert (job.state, job.attempt, scheduler.withdrawn) == (JobState.COMPLETED, 2, [key(jobid)])


def test_a_job_that_is_not_handed_over_in_time_is_given_back(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    """A partition that is closed: the scheduler says that it has not got it."""
    scheduler.mishaps["true"] = NotTaken("Slurm takes no jobs now: Partition not available")
    jobid = scripted.submit(start_within_seconds=WITHIN)
    scripted.work(lambda: len(scheduler.handed_over) > 2)

    scripted.clock.move(WITHIN + 1)
    scripted.work(lambda: scripted.job(jobid).attempt == 2)

    assert not scheduler.withdrawn
    told = "it was not handed over in time: Slurm takes no jobs now: Partition not available"
    assert told in reasons(scripted, jobid)


def test_a_job_whose_submission_may_still_arrive_is_not_given_back(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.mishaps["true"] = SchedulerSilent("sbatch timed out")
    jobid = scripted.submit(start_within_seconds=WITHIN)
    scripted.work(lambda: scheduler.handed_over)

    scripted.clock.move(WITHIN + 1)
    tries = len(scheduler.handed_over)
    scripted.work(lambda: len(scheduler.handed_over) > tries + 3)
    before = scripted.job(jobid).attempt
    scheduler.mishaps.clear()
    scripted.work(lambda: scripted.job(jobid).attempt == 2)

    assert before == 1
    assert scheduler.withdrawn == [key(jobid)]


def test_a_job_that_an_agent_announced_before_it_lost_its_journal_is_not_given_back(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    """Its submission may still arrive."""
    scheduler.mishaps["true"] = SchedulerSilent("sbatch timed out")
    jobid = scripted.submit(start_within_seconds=WITHIN)
    scripted.work(lambda: scheduler.handed_over)

    for file in scripted.folder.glob("journal.db*"):
        file.unlink()
    scheduler.mishaps["true"] = NotTaken("Slurm takes no jobs now")
    scripted.restart()
    tries = len(scheduler.handed_over)
    scripted.work(lambda: len(scheduler.handed_over) > tries)
    scripted.clock.move(WITHIN + 1)
    scripted.work(lambda: len(scheduler.handed_over) > tries + 3)

    assert scripted.job(jobid).attempt == 1


def strike_at(crew: Crew, moment: Checkpoint, act: Callable[[], object]) -> None:
    left = [moment]

    def strike(now: Checkpoint) -> None:
        if now in left:
            left.remove(now)
            act()

    crew.checkpoint = strike


def kill() -> None:
    raise Killed


@pytest.mark.parametrize(
    "moment",
    [Checkpoint.WITHDRAWN, Checkpoint.ENDED_NOTED, Checkpoint.ENDED_REPORTED, Checkpoint.REPORTED_NOTED],
    ids=lambda moment: moment.name.lower(),
)
def test_an_agent_that_is_killed_when(scripted: Crew, scheduler: ScriptedExecutor, moment: Checkpoint) -> None:
    jobid = overdue(scripted)
    strike_at(scripted, moment, kill)

    with pytest.raises(Killed):
        scripted.work(lambda: False)
    scripted.restart()
    scripted.work(lambda: f"rainbow-{jobid}-2" in scheduler.jobs)
    scheduler.progress[f"rainbow-{jobid}-2"] = ended(scripted.clock.now(), **SUCCESS)
    (job,) = scripted.finish(jobid)

    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert scheduler.handed_over == [key(jobid), f"rainbow-{jobid}-2"]
