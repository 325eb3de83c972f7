"""Which jobs the agent takes, how many, and which it refuses."""

from typing import Any

import pytest

from grpc_api.rpcs.queue import MAX_WAIT_SECONDS
from rainbow.agent.policy import Policy
from rainbow.executors.executor import Capacity, JobPhase, NotTaken, Progress, SchedulerSilent, WorkRefused
from rainbow.records import JobState
from tests.support.agent_cast import SUCCESS, Hire, handed_over, key
from tests.support.agents import Crew, ScriptedExecutor, ended
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote


def column(server: RainbowServer, remote: Remote, name: str) -> Any:
    return execute(server.database_url, f"SELECT {name} FROM clusters_cluster WHERE name = %s", [remote.name])[0][0]


def test_only_what_fits_now_is_taken(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.free = Capacity(nodes=2, slots=2)
    large, first, second, third = (scripted.submit(nodes=nodes) for nodes in (3, 1, 1, 1))

    scripted.work(lambda: len(scheduler.jobs) == 2)
    scripted.work_for(0.5)

    assert list(scheduler.jobs) == [key(first), key(second)]
    assert [scripted.job(jobid).state for jobid in (large, third)] == [JobState.QUEUED] * 2


def test_room_that_comes_about_is_used_at_once(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.free = Capacity(nodes=1, slots=1)
    scripted.agent._wait_seconds = MAX_WAIT_SECONDS
    first = handed_over(scripted)
    second = scripted.submit()
    scheduler.progress[key(first)] = ended(scripted.clock.now(), **SUCCESS)

    # Before the request that waits for smaller jobs would be answered.
    scripted.work(lambda: key(second) in scheduler.jobs, seconds=MAX_WAIT_SECONDS / 2)


def test_jobs_may_wait_in_the_schedulers_own_queue(hire: Hire, scheduler: ScriptedExecutor) -> None:
    scheduler.free = Capacity()
    agent = hire(executor=scheduler, ahead=2)
    jobids = [agent.submit(nodes=100) for _ in range(3)]
    scheduler.progress[key(jobids[0])] = Progress(phase=JobPhase.PENDING, reason="PartitionNodeLimit")

    agent.work(lambda: agent.job(jobids[0]).reason)

    assert list(scheduler.jobs) == [key(jobid) for jobid in jobids[:2]]
    waiting = agent.job(jobids[0])
    assert (waiting.state, waiting.reason) == (JobState.ACCEPTED, "PartitionNodeLimit")


def test_no_more_jobs_are_held_than_was_said(hire: Hire, scheduler: ScriptedExecutor) -> None:
    agent = hire(executor=scheduler, max_jobs=1)
    first, second = agent.submit(), agent.submit()

    agent.work(lambda: key(first) in scheduler.jobs)
    agent.work_for(0.3)
    assert agent.job(second).state == JobState.QUEUED

    scheduler.progress[key(first)] = ended(agent.clock.now(), **SUCCESS)
    agent.work(lambda: key(second) in scheduler.jobs)


def test_the_sites_policy_refuses_with_its_reason(hire: Hire, scheduler: ScriptedExecutor) -> None:
    agent = hire(executor=scheduler, policy=Policy(max_nodes=2, refused_environment=("LD_*",)))
    large, sly, good = agent.submit(nodes=3), agent.submit(environment={"LD_PRELOAD": "x"}), agent.submit()

    agent.work(lambda: agent.job(large).finished_at and agent.job(sly).finished_at and key(good) in scheduler.jobs)

    assert [(agent.job(jobid).state, agent.job(jobid).reason) for jobid in (large, sly)] == [
        (JobState.FAILED, "3 nodes are more than the 2 that this cluster allows"),
        (JobState.FAILED, "this cluster lets no job set LD_PRELOAD"),
    ]
    assert list(scheduler.jobs) == [key(good)]


def test_what_can_never_run_is_refused_though_nothing_is_free(hire: Hire, scheduler: ScriptedExecutor) -> None:
    scheduler.free, scheduler.most_slots = Capacity(nodes=0, slots=0), 16
    agent = hire(executor=scheduler, policy=Policy(max_nodes=8))
    forbidden, too_large, fits_later = agent.submit(nodes=9), agent.submit(tasks=17), agent.submit(nodes=5, tasks=16)

    agent.work(lambda: agent.job(forbidden).finished_at and agent.job(too_large).finished_at)
    agent.work_for(0.3)

    assert [(agent.job(jobid).state, agent.job(jobid).reason) for jobid in (forbidden, too_large)] == [
        (JobState.FAILED, "9 nodes are more than the 8 that this cluster allows"),
        (JobState.FAILED, "too large for ever"),
    ]
    assert agent.job(fits_later).state == JobState.QUEUED
    assert not scheduler.handed_over


def test_what_can_never_run_is_looked_for_again_after_a_while(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.free, scheduler.most_slots = Capacity(nodes=1, slots=1), 16
    scripted.work(lambda: scripted.agent._rejecter.has_seen_queue)
    scripted.clock.stop()
    too_large = scripted.submit(tasks=17)
    scripted.work_for(0.3)
    assert scripted.job(too_large).state == JobState.QUEUED

    scripted.clock.go_on()
    scripted.clock.move(76)
    scripted.work(lambda: scripted.job(too_large).finished_at)

    assert scripted.job(too_large).reason == "too large for ever"


def test_what_the_scheduler_will_never_take_fails_with_its_words(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.mishaps["bad"] = WorkRefused("Slurm refused: Invalid account")
    bad, good = scripted.submit("bad"), scripted.submit()

    scripted.work(lambda: scripted.job(bad).finished_at and key(good) in scheduler.jobs)

    assert (scripted.job(bad).state, scripted.job(bad).reason) == (JobState.FAILED, "Slurm refused: Invalid account")


def test_one_job_that_nobody_thought_of_holds_up_no_other(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.mishaps["odd"] = ValueError("embedded null byte")
    odd, good = scripted.submit("odd"), scripted.submit()

    scripted.work(lambda: scripted.job(odd).finished_at and key(good) in scheduler.jobs)

    assert scripted.job(odd).reason == "it could not be handed over: ValueError: embedded null byte"


def test_a_scheduler_that_is_not_ready_is_reported_and_gets_no_jobs(
    scripted: Crew, scheduler: ScriptedExecutor, server: RainbowServer, remote: Remote
) -> None:
    scheduler.free = Capacity(nodes=4, slots=4, not_ready="no node is in service: 3 down")
    jobid = scripted.submit()
    scripted.work(lambda: column(server, remote, "not_ready"))
    assert column(server, remote, "not_ready") == "no node is in service: 3 down"
    assert scripted.job(jobid).state == JobState.QUEUED

    scheduler.free = Capacity(nodes=4, slots=4)
    scripted.clock.move(6)
    scripted.work(lambda: key(jobid) in scheduler.jobs)

    assert column(server, remote, "not_ready") == ""


@pytest.mark.parametrize("mishap", [NotTaken("one user has too many"), SchedulerSilent("sbatch timed out")], ids=str)
def test_a_job_that_the_scheduler_does_not_take_now_keeps_no_other_waiting(
    scripted: Crew, scheduler: ScriptedExecutor, mishap: SchedulerSilent
) -> None:
    """Its submitter may have reached a limit, or have found words for which the scheduler seems to be away."""
    scheduler.mishaps["stuck"] = mishap
    stuck = [scripted.submit("stuck"), scripted.submit("stuck")]
    scripted.work(lambda: key(stuck[0]) in scheduler.handed_over)

    jobid = scripted.submit("true")

    scripted.work(lambda: key(jobid) in scheduler.jobs)
    scheduler.mishaps.clear()
    scripted.work(lambda: all(key(each) in scheduler.jobs for each in stuck))


def test_a_job_that_may_have_reached_the_scheduler_is_refused_for_good(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    """A submission that got no answer may run yet: given back, the job would run elsewhere as well."""
    scheduler.mishaps["true"] = SchedulerSilent("sbatch timed out")
    jobid = scripted.submit("true")
    scripted.work(lambda: key(jobid) in scheduler.handed_over)

    scheduler.mishaps["true"] = WorkRefused("the user is gone")
    (job,) = scripted.finish(jobid)

    assert (job.state, job.reason) == (JobState.FAILED, "the user is gone")
    assert scheduler.cancelled == [key(jobid)], "so that what arrives late does not run"
