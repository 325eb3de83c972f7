"""What the agent does with its jobs when the scheduler is silent, a lease runs out or a job is stopped."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from rainbow.errors import Unavailable
from rainbow.executors.executor import Ending, JobPhase, MayStart, Progress, SchedulerSilent
from rainbow.records import EndCause, JobState
from tests.support.agent_cast import RUNNING, SUCCESS, Hire, handed_over, key
from tests.support.agents import Crew, ScriptedExecutor, ended
from tests.support.patience import wait_until
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wishes import at_work


def test_a_silent_scheduler_is_waited_for(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scheduler.silent = {"watch", "capacity"}
    scripted.clock.move(60)
    scripted.work_for(0.3)
    assert scripted.job(jobid).state == JobState.ACCEPTED

    scheduler.silent = set()
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), **SUCCESS)
    scripted.finish(jobid)


def test_silence_at_the_hand_over_is_no_answer(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    """The scheduler has the job although it did not say so: it is found by its name, and not handed over twice."""
    scheduler.silent = {"submit", "find"}
    jobid = scripted.submit()
    scripted.work(lambda: scheduler.handed_over)
    scripted.work_for(0.3)
    assert scripted.job(jobid).state == JobState.ACCEPTED

    scheduler.silent = set()
    scripted.work(lambda: scripted.job(jobid).native_id == f"native-{key(jobid)}")

    assert scheduler.handed_over == [key(jobid)]


def test_what_the_scheduler_did_not_get_is_handed_over_again(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.silent = {"submit"}
    jobid = scripted.submit()
    scripted.work(lambda: scheduler.handed_over)
    scheduler.jobs.clear()

    scheduler.silent = set()
    scripted.work(lambda: key(jobid) in scheduler.jobs)

    assert scripted.job(jobid).state == JobState.ACCEPTED


def test_a_job_that_is_nowhere_is_believed_gone_only_after_a_while(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scripted.clock.stop()
    scheduler.progress[key(jobid)] = Progress(phase=JobPhase.GONE, reason="nobody knows it")
    polls = scheduler.calls.count("watch")
    while scheduler.calls.count("watch") < polls + 3:
        scripted.clock.move(0.1)
        scripted.agent.step()
    assert scripted.job(jobid).state == JobState.ACCEPTED

    scripted.clock.go_on()
    scripted.clock.move(11)

    (job,) = scripted.finish(jobid)
    assert (job.state, job.exit_code, job.reason) == (JobState.FAILED, None, "nobody knows it")


def test_leases_are_renewed_though_every_call_of_the_scheduler_takes_long(
    hire: Hire, scheduler: ScriptedExecutor
) -> None:
    agent = hire(executor=scheduler, lease_seconds=60)
    jobid = handed_over(agent)
    agent.clock.stop()
    scheduler.before_each = lambda: agent.clock.move(4)
    told: list[tuple[datetime, datetime | None]] = []

    for _ in range(20):
        agent.agent.step()
        told.append((agent.clock.now(), _held(agent, jobid).renewed_at))

    assert all(renewed_at and now - renewed_at < timedelta(seconds=20) for now, renewed_at in told)


def _held(crew: Crew, jobid: int) -> Any:
    return next(held for held in crew.agent._held_jobs if held.entry.jobid == jobid)


def test_nothing_is_handed_over_on_a_lease_that_is_nearly_over(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.silent = {"submit"}
    jobid = scripted.submit()
    scripted.work(lambda: scheduler.handed_over)
    scheduler.jobs.clear()
    scheduler.silent = set()
    client, scripted.agent._context.client.report_jobs = scripted.client.report_jobs, _away  # type: ignore[method-assign]

    scripted.clock.move(201)
    scripted.work_for(0.3)
    assert scheduler.jobs == {}

    scripted.agent._context.client.report_jobs = client  # type: ignore[method-assign]
    scripted.work(lambda: key(jobid) in scheduler.jobs)


def _away(*args: Any, **more: Any) -> Any:
    raise Unavailable("away")


def test_a_job_that_was_stopped_in_the_scheduler_says_so(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), ending=Ending.CANCELLED, reason="cancelled")

    (job,) = scripted.finish(jobid)

    assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled in the scheduler")


def test_a_job_that_is_not_handed_over_yet_is_not_handed_over_any_more(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    scheduler.silent = {"submit"}
    jobid = scripted.submit()
    scripted.work(lambda: scheduler.handed_over)
    scheduler.jobs.clear()
    scripted.client.cancel_jobs([jobid])
    scripted.clock.move(16)

    (job,) = scripted.finish(jobid)

    assert (job.state, scheduler.jobs) == (JobState.CANCELLED, {})


@pytest.fixture
def late(scripted: Crew, scheduler: ScriptedExecutor) -> int:
    """A job whose submission got no answer, and which the scheduler does not know, but may still get."""
    scheduler.mishaps["true"] = SchedulerSilent("Socket timed out")
    jobid = scripted.submit()
    scripted.work(lambda: len(scheduler.handed_over) > 1)
    return jobid


def test_a_cancelled_job_whose_submission_may_still_arrive_is_stopped_there(
    scripted: Crew, scheduler: ScriptedExecutor, late: int
) -> None:
    scripted.client.cancel_jobs([late])
    scripted.clock.move(16)

    (job,) = scripted.finish(late)

    assert job.state == JobState.CANCELLED
    assert scheduler.cancelled == [key(late)], "so that what arrives late does not run"


def test_a_job_found_again_that_is_cancelled_before_it_is_prepared_is_stopped_in_the_scheduler(
    scripted: Crew, scheduler: ScriptedExecutor, late: int
) -> None:
    for file in scripted.folder.glob("journal.db*"):
        file.unlink()
    scripted.restart()
    scripted.agent._recovery.step()
    _held(scripted, late).to_be_cancelled()

    scripted.finish(late)

    assert scheduler.cancelled == [key(late)]


def test_an_abandoned_job_whose_submission_may_still_arrive_is_let_go_once_it_is_stopped_there(
    scripted: Crew, scheduler: ScriptedExecutor, server: RainbowServer, late: int
) -> None:
    scheduler.silent = {"cancel"}
    execute(server.database_url, "UPDATE jobs_job SET attempt = 5 WHERE id = %s", [late])
    scripted.clock.move(16)
    scripted.work(lambda: "cancel" in scheduler.calls)
    scripted.work_for(0.3)
    held = scripted.journal.unreported()

    scheduler.silent = set()
    scripted.work(lambda: not scripted.journal.unreported())

    assert [entry.jobid for entry in held] == [late], "while the scheduler is silent"
    assert scheduler.cancelled == [key(late)]


def test_a_job_that_a_full_disk_does_not_let_be_stopped_keeps_no_other_from_its_end(
    scripted: Crew, scheduler: ScriptedExecutor, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = scripted.submit()
    scripted.work(lambda: key(other) in scheduler.handed_over)

    def cancel(*_: Any) -> None:
        raise MayStart([key(late)])

    with monkeypatch.context() as full:
        full.setattr(ScriptedExecutor, "cancel", cancel)
        scripted.client.cancel_jobs([late, other])
        scripted.clock.move(16)
        scripted.work(lambda: scripted.job(other).finished_at)
        still = scripted.job(late).state
    scripted.finish(late)

    assert still == JobState.ACCEPTED


def test_a_job_that_cannot_be_stopped_yet_is_logged_once(
    scripted: Crew, scheduler: ScriptedExecutor, late: int, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler.silent = {"cancel"}
    scripted.client.cancel_jobs([late])
    scripted.clock.move(16)

    scripted.work(lambda: scheduler.calls.count("cancel") > 2)

    assert [record.message for record in caplog.records if "stopping" in record.message] == [f"stopping jobs={late}"]


def test_a_job_that_fails_to_be_handed_over_again_is_stopped_if_it_may_still_arrive(
    scripted: Crew, scheduler: ScriptedExecutor, late: int
) -> None:
    scheduler.mishaps["true"] = KeyError("a bug")

    (job,) = scripted.finish(late)

    assert job.state == JobState.FAILED
    assert scheduler.cancelled == [key(late)]


def test_an_attempt_that_counts_no_more_is_stopped_and_not_reported(
    scripted: Crew, scheduler: ScriptedExecutor, server: RainbowServer
) -> None:
    jobid = handed_over(scripted)
    execute(server.database_url, "UPDATE jobs_job SET attempt = 5 WHERE id = %s", [jobid])
    scripted.clock.move(16)

    scripted.work(lambda: scheduler.cancelled)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), ending=Ending.CANCELLED)
    scripted.work(lambda: not scripted.journal.unreported())

    assert scheduler.cancelled[0] == key(jobid)
    assert scripted.job(jobid).state == JobState.ACCEPTED


@pytest.mark.parametrize(
    ("ending", "cause"),
    [
        (Ending.SIGNALLED, EndCause.SIGNAL),
        (Ending.TIMED_OUT, EndCause.TIMED_OUT),
        (Ending.NODE_FAILED, EndCause.NODE_FAILED),
        (Ending.OUT_OF_MEMORY, EndCause.OUT_OF_MEMORY),
        (Ending.PREEMPTED, EndCause.PREEMPTED),
        (Ending.CANCELLED, EndCause.CANCELLED_AT_SITE),
        (Ending.FAILED, EndCause.GIVEN_UP),
    ],
)
def test_the_cause_of_an_end_is_on_record(
    scripted: Crew, scheduler: ScriptedExecutor, ending: Ending, cause: EndCause
) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), ending=ending)

    (job,) = scripted.finish(jobid)

    assert job.end_cause == cause


def test_a_cancel_that_was_asked_for_is_not_the_sites(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scripted.client.cancel_jobs([jobid])
    scripted.clock.move(16)
    scripted.work(lambda: scheduler.cancelled)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), ending=Ending.CANCELLED)

    (job,) = scripted.finish(jobid)

    assert (job.state, job.end_cause) == (JobState.CANCELLED, EndCause.UNSPECIFIED)


def test_words_that_the_wire_does_not_take_are_made_fit(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), ending=Ending.FAILED, reason="\x1b[31m" + "é" * 5000)

    (job,) = scripted.finish(jobid)

    assert job.state == JobState.FAILED
    assert job.reason.startswith("\ufffd[31mé")


def test_files_of_a_job_go_some_time_after_its_end_is_known(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), **SUCCESS)
    scripted.finish(jobid)
    scripted.clock.move(120)
    scripted.work_for(0.1)
    assert scheduler.forgotten == []

    scripted.clock.move(600)
    scripted.work(lambda: scheduler.forgotten)

    assert scheduler.forgotten == [key(jobid)]


def test_a_job_that_leaves_more_than_there_may_be_is_alone_forgotten_for_it(
    hire: Hire, scheduler: ScriptedExecutor
) -> None:
    agent = hire(executor=scheduler, keep_output=timedelta(days=1))
    jobids = [handed_over(agent) for _ in range(3)]
    scheduler.kept = {key(jobids[1]): 2**62}
    scheduler.progress = {key(jobid): ended(agent.clock.now(), **SUCCESS) for jobid in jobids}
    agent.finish(*jobids)
    agent.clock.move(600)

    agent.work(lambda: scheduler.forgotten)
    agent.clock.move(60)
    agent.work_for(0.1)

    assert scheduler.forgotten == [key(jobids[1])]


def test_a_signal_that_the_scheduler_does_not_take_keeps_no_other_from_being_sent(
    hire: Hire, scheduler: ScriptedExecutor
) -> None:
    agent = hire(executor=scheduler)
    deaf, other = handed_over(agent), handed_over(agent)
    scheduler.deaf = {key(deaf)}
    scheduler.progress = dict.fromkeys((key(deaf), key(other)), RUNNING)
    agent.work(lambda: {agent.job(deaf).state, agent.job(other).state} == {JobState.RUNNING})

    with at_work(agent):
        agent.client.signal_jobs([deaf, other], "USR1")
        wait_until(lambda: scheduler.signals)

    assert scheduler.signals[0] == (key(other), "USR1")
