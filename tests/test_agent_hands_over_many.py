"""Many jobs at once: how they are handed over, noted, watched and reported."""

import threading
from collections.abc import Collection

import pytest

from rainbow.agent.free_capacity import FreeCapacity, free_capacity
from rainbow.executors.executor import Access, Capacity, NotTaken, SchedulerSilent, WorkRefused
from rainbow.records import JobSpec, JobState
from tests.support.agent_cast import SUCCESS, Hire, key
from tests.support.agents import Crew, ScriptedExecutor, ended
from tests.support.patience import PATIENCE_SECONDS

AT_ONCE = 4


@pytest.fixture
def many(hire: Hire, scheduler: ScriptedExecutor) -> Crew:
    """An agent whose scheduler takes four submissions at the same time."""
    scheduler.access = Access(description="by the test", at_once=AT_ONCE)
    scheduler.free = Capacity(nodes=100, slots=100)
    return hire(executor=scheduler)


def submitted(crew: Crew, *commands: str) -> list[int]:
    results = crew.client.submit_jobs([JobSpec(command=command) for command in commands])
    return [result.jobid for result in results.results]


def test_as_many_are_handed_over_at_once_as_the_scheduler_takes(many: Crew, scheduler: ScriptedExecutor) -> None:
    together = threading.Barrier(AT_ONCE)
    scheduler.before_each = lambda: together.wait(PATIENCE_SECONDS) if scheduler.calls[-1] == "submit" else None
    jobids = submitted(many, *["true"] * 2 * AT_ONCE)

    many.work(lambda: len(scheduler.jobs) == len(jobids))

    assert not together.broken
    many.work(lambda: all(many.job(jobid).native_id == f"native-{key(jobid)}" for jobid in jobids))


def test_of_jobs_that_are_handed_over_together_each_has_an_outcome_of_its_own(
    many: Crew, scheduler: ScriptedExecutor
) -> None:
    scheduler.mishaps = {"no": WorkRefused("never"), "late": SchedulerSilent("no answer"), "bug": KeyError("odd")}

    taken, refused, silent, broken = submitted(many, "true", "no", "late", "bug")
    many.work(lambda: many.job(refused).finished_at and many.job(broken).finished_at)
    many.work(lambda: len(scheduler.handed_over) > AT_ONCE)

    assert scheduler.handed_over.count(key(taken)) == scheduler.handed_over.count(key(refused)) == 1
    assert scheduler.handed_over.count(key(silent)) > 1, "it is asked for, and handed over again"
    assert many.job(refused).reason == "never"
    assert "could not be handed over" in many.job(broken).reason
    assert many.job(taken).state == JobState.ACCEPTED


def test_an_error_with_one_job_leaves_none_without_its_answer(
    many: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be looked for, and handed over again, while the first time is still under way."""
    scheduler.mishaps = {"no": SchedulerSilent("no answer"), "true": SchedulerSilent("no answer")}
    refused, taken = submitted(many, "no", "true")
    many.work(lambda: {key(refused), key(taken)} <= set(scheduler.handed_over))
    scheduler.mishaps = {"no": WorkRefused("never")}
    asked, sought = list[object](), list[str]()

    find = ScriptedExecutor.find

    def break_down(scheduler: ScriptedExecutor, tickets: object) -> None:
        asked.append(tickets)
        raise OSError("cannot note it")

    def seek(scheduler: ScriptedExecutor, keys: Collection[str]) -> dict[str, str]:
        sought.extend(keys)
        return find(scheduler, keys)

    monkeypatch.setattr(ScriptedExecutor, "cancel", break_down)
    many.work(lambda: asked)
    monkeypatch.setattr(ScriptedExecutor, "find", seek)
    many.work(lambda: sought)

    assert key(taken) not in sought
    assert many.job(taken).native_id == f"native-{key(taken)}"


def test_a_step_of_many_jobs_is_one_transaction_of_the_journal(many: Crew, scheduler: ScriptedExecutor) -> None:
    statements: list[str] = []
    many.journal._database.set_trace_callback(statements.append)
    jobids = submitted(many, *["true"] * 20)
    scheduler.progress = {key(jobid): ended(many.clock.now(), **SUCCESS) for jobid in jobids}

    many.finish(*jobids)

    assert len([text for text in statements if text.startswith("UPDATE")]) >= 4 * len(jobids)
    assert statements.count("COMMIT") < len(jobids)


def test_the_scheduler_is_asked_at_once_when_it_has_news(hire: Hire, scheduler: ScriptedExecutor) -> None:
    scheduler.access = Access(description="by the test", tells_ends=True)
    crew = hire(executor=scheduler, interval_seconds=2 * PATIENCE_SECONDS)
    jobid = crew.submit()
    crew.work(lambda: "watch" in scheduler.calls and crew.job(jobid).native_id)
    scheduler.progress[key(jobid)] = ended(crew.clock.now(), **SUCCESS)

    scheduler.changed()
    crew.work(lambda: crew.job(jobid).finished_at)


@pytest.fixture
def batches(hire: Hire, scheduler: ScriptedExecutor) -> Crew:
    """An agent whose scheduler takes up to three jobs by one call."""
    scheduler.free, scheduler.together = Capacity(nodes=100, slots=100), 3
    return hire(executor=scheduler)


def test_jobs_that_the_scheduler_takes_together_are_handed_over_by_one_call(
    batches: Crew, scheduler: ScriptedExecutor
) -> None:
    jobids = submitted(batches, *["true"] * 4)

    batches.work(lambda: all(batches.job(jobid).native_id == f"native-{key(jobid)}" for jobid in jobids))

    assert scheduler.batches_handed_over == [[key(jobid) for jobid in jobids[:3]]]
    assert scheduler.handed_over == [key(jobids[3])]


@pytest.mark.parametrize("error", [WorkRefused("never"), NotTaken("too many")])
def test_where_not_all_are_taken_each_is_handed_over_by_itself(
    batches: Crew, scheduler: ScriptedExecutor, error: Exception
) -> None:
    scheduler.mishaps = {"batch of no": error, "no": WorkRefused("never")}

    refused, taken = submitted(batches, "no", "true")
    batches.work(lambda: batches.job(refused).finished_at and batches.job(taken).native_id)

    assert (batches.job(refused).reason, batches.job(taken).state) == ("never", JobState.ACCEPTED)
    assert scheduler.handed_over == [key(refused), key(taken)]


def test_of_a_batch_without_an_answer_none_is_handed_over_again_before_it_was_looked_for(
    batches: Crew, scheduler: ScriptedExecutor
) -> None:
    scheduler.silent = {"submit_together"}

    jobids = submitted(batches, "true", "true")
    batches.work(lambda: all(batches.job(jobid).native_id == f"native-{key(jobid)}" for jobid in jobids))

    assert len(scheduler.batches_handed_over) == 1, "the scheduler had it"
    assert scheduler.calls.index("submit_together") < scheduler.calls.index("find")


def test_a_bug_that_a_batch_meets_leaves_its_jobs_to_be_handed_over_each_by_itself(
    batches: Crew, scheduler: ScriptedExecutor
) -> None:
    scheduler.mishaps = {"batch of odd": KeyError("odd")}

    jobids = submitted(batches, "odd", "true")
    batches.work(lambda: all(batches.job(jobid).native_id == f"native-{key(jobid)}" for jobid in jobids))

    assert sorted(scheduler.handed_over) == sorted(map(key, jobids))


def test_what_is_not_taken_with_others_is_handed_over_by_itself(batches: Crew, scheduler: ScriptedExecutor) -> None:
    taken, left = submitted(batches, "true", "not with others")

    batches.work(lambda: all(batches.job(jobid).native_id == f"native-{key(jobid)}" for jobid in (taken, left)))

    assert scheduler.batches_handed_over == [[key(taken), key(left)]]
    assert scheduler.handed_over == [key(left)]


def test_no_more_is_requested_than_can_start(hire: Hire, scheduler: ScriptedExecutor) -> None:
    scheduler.free = Capacity(nodes=2, slots=8)
    crew = hire(executor=scheduler)
    submitted(crew, *["true"] * 5)
    crew.work(lambda: len(scheduler.jobs) == 2)

    assert FreeCapacity(nodes=2, slots=8, jobs=500).most_jobs == 2
    assert FreeCapacity(nodes=0, slots=0, jobs=500, open_end=True).most_jobs == 500


def test_jobs_that_wait_ahead_come_by_the_quarter_so_that_they_go_together() -> None:
    idle = Capacity(nodes=0, slots=0)

    room = [free_capacity(idle, [(1, 1)] * waiting, most_jobs=500, ahead=100).jobs for waiting in (0, 75)]
    full = free_capacity(idle, [(1, 1)] * 76, most_jobs=500, ahead=100)

    assert room == [100, 25]
    assert not full
    assert free_capacity(idle, [(1, 1)] * 2, most_jobs=500, ahead=3).jobs == 1
