"""The agent's loop: with jobs of this machine for real, and with a scheduler that does what the test says."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.identity import identity_in
from rainbow.client import Client
from rainbow.errors import FailedPrecondition, Unauthenticated, Unavailable
from rainbow.executors.executor import Capacity, Ending, JobPhase, Progress, WorkRefused
from rainbow.policy import Policy
from rainbow.records import Job, JobSpec, JobState
from tests.support.agents import Crew, ScriptedExecutor, crew, ended, local
from tests.support.executors import lines_of, until_there
from tests.support.rows import add_token, execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, joined

RUNNING = Progress(phase=JobPhase.RUNNING, started_at=datetime(2026, 1, 1, tzinfo=UTC))
SUCCESS = {"ending": Ending.EXITED, "exit_code": 0}


Hire = Callable[..., Crew]


@pytest.fixture
def hire(server: RainbowServer, remote: Remote, tmp_path: Path) -> Iterator[Hire]:
    """Make an agent of the cluster: `hire(executor=…, policy=…, lease_seconds=…)`."""
    with ExitStack() as stack:

        def make(*, folder: str = "state", **options: Any) -> Crew:
            return stack.enter_context(crew(remote, server.address, tmp_path / folder, **options))

        yield make


@pytest.fixture
def scheduler() -> ScriptedExecutor:
    return ScriptedExecutor()


@pytest.fixture
def scripted(hire: Hire, scheduler: ScriptedExecutor) -> Crew:
    """An agent of the scripted scheduler."""
    return hire(executor=scheduler)


def key(jobid: int) -> str:
    return f"rainbow-{jobid}-1"


def handed_over(crew: Crew, command: str = "true", **more: Any) -> int:
    """A job that the scheduler has, and that the server knows it to have."""
    jobid = crew.submit(command, **more)
    crew.work(lambda: crew.job(jobid).native_id == f"native-{key(jobid)}")
    return jobid


def column(server: RainbowServer, remote: Remote, name: str) -> Any:
    return execute(server.database_url, f"SELECT {name} FROM clusters_cluster WHERE name = %s", [remote.name])[0][0]


@pytest.mark.parametrize(
    ("command", "more", "state", "exit_code", "reason", "output"),
    [
        ("echo hello", {}, JobState.COMPLETED, 0, "", "hello\n"),
        ("echo no >&2; exit 7", {}, JobState.FAILED, 7, "ended with exit code 7", "no\n"),
        ("kill -9 $$", {}, JobState.FAILED, 137, "killed by signal 9 (SIGKILL)", ""),
        ("sleep 60", {"time_limit_seconds": 1}, JobState.FAILED, None, "reached its time limit", ""),
        ("true", {"nodes": 3, "tasks": 3}, JobState.FAILED, None, "needs 9 slots, and this machine has 8", ""),
        ("true", {"working_directory": "/no/such"}, JobState.FAILED, None, "there is no directory /no/such", ""),
        ("echo $GREETING; pwd", {"environment": {"GREETING": "hi"}, "working_directory": "/tmp"},
         JobState.COMPLETED, 0, "", "hi\n/tmp\n"),
    ],
)  # fmt: skip
def test_a_job_runs_and_its_record_tells_the_truth(
    hire: Hire, command: str, more: dict[str, Any], state: JobState, exit_code: int | None, reason: str, output: str
) -> None:
    agent = hire()
    jobid = agent.submit(command, **more)

    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code, job.reason, job.output) == (state, exit_code, reason, output)
    assert job.attempt == 1
    assert job.lease_expires_at is None
    assert re.fullmatch("login1/[0-9a-f]{6}", job.agent)


def test_the_steps_of_a_job_are_all_reported(hire: Hire, tmp_path: Path) -> None:
    agent = hire()

    jobid = agent.submit(until_there(tmp_path / "go"))
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    (tmp_path / "go").touch()
    (job,) = agent.finish(jobid)

    job = agent.job(job.id, with_events=True)
    assert [event.what for event in job.events] == ["submitted", "accepted", "started", "ended"]
    assert job.native_id.isdigit()
    assert job.started_at and job.finished_at
    assert job.submitted_at and job.submitted_at <= job.started_at <= job.finished_at


def test_the_agents_secret_reaches_no_job(hire: Hire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAINBOW_SECRET", "hush-hush")
    agent = hire(executor=local(tmp_path / "state"))

    (job,) = agent.finish(agent.submit("env"))

    assert "PATH=" in job.output
    assert "RAINBOW" not in job.output


def test_many_jobs_run_side_by_side_and_each_once(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobids = [agent.submit(f"echo {number} >> {tmp_path / 'ran'}") for number in range(20)]

    jobs = agent.finish(*jobids)

    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert sorted(map(int, lines_of(tmp_path / "ran"))) == list(range(20))


def test_only_what_fits_now_is_taken(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.free = Capacity(nodes=2, slots=2)
    large, first, second, third = (scripted.submit(nodes=nodes) for nodes in (3, 1, 1, 1))

    scripted.work(lambda: len(scheduler.jobs) == 2)
    scripted.work_for(0.5)

    assert list(scheduler.jobs) == [key(first), key(second)]
    assert [scripted.job(jobid).state for jobid in (large, third)] == [JobState.QUEUED] * 2


def test_room_that_comes_about_is_used_at_once(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.free = Capacity(nodes=1, slots=1)
    first = handed_over(scripted)
    second = scripted.submit()
    scheduler.progress[key(first)] = ended(scripted.clock.now(), **SUCCESS)

    scripted.work(lambda: key(second) in scheduler.jobs, seconds=3)


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
    scripted.work_for(0.5)
    too_large = scripted.submit(tasks=17)
    scripted.work_for(0.3)
    assert scripted.job(too_large).state == JobState.QUEUED

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
    scheduler.progress[key(jobid)] = Progress(phase=JobPhase.GONE, reason="nobody knows it")
    scripted.work_for(0.3)
    assert scripted.job(jobid).state == JobState.ACCEPTED

    scripted.clock.move(11)

    (job,) = scripted.finish(jobid)
    assert (job.state, job.exit_code, job.reason) == (JobState.FAILED, None, "nobody knows it")


def test_leases_are_renewed_though_every_call_of_the_scheduler_takes_long(
    hire: Hire, scheduler: ScriptedExecutor
) -> None:
    agent = hire(executor=scheduler, lease_seconds=60)
    jobid = handed_over(agent)
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


def test_a_running_job_is_stopped_when_its_submitter_says_so(hire: Hire) -> None:
    agent = hire(lease_seconds=10)
    jobid = agent.submit("echo begun; sleep 60")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)

    agent.client.cancel_jobs([jobid], reason="wrong input file")
    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code, job.reason) == (JobState.CANCELLED, None, "wrong input file")
    assert job.output == "begun\n"


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


def test_who_submits_what_fails_at_once_is_held_back_and_nobody_else(
    hire: Hire, server: RainbowServer, remote: Remote
) -> None:
    agent = hire(hold_after=3)
    jobids = [agent.submit("false") for _ in range(40)]
    agent.work(lambda: agent.client.summarize_jobs().held_back)

    add_token(server.database_url, remote.name, label="other", value="rbt_other")
    with Client(server.address, cluster=remote.name, token="rbt_other") as other:
        good = other.submit_job(JobSpec(command="true")).jobid
        agent.work(lambda: other.get_jobs([good]).jobs[0].state == JobState.COMPLETED)
    (held,) = agent.client.summarize_jobs().held_back
    waiting = [job for jobid in jobids if (job := agent.job(jobid)).state == JobState.QUEUED]

    assert waiting
    assert (held.token, held.reason) == (
        "default",
        "3 jobs in a row failed at once; the last one: ended with exit code 1",
    )
    assert held.reason in waiting[-1].why_waiting
    assert column(server, remote, "paused_at") is None

    agent.client.resume_cluster()
    agent.work(lambda: agent.job(waiting[0].id).finished_at)


def test_a_success_in_between_holds_nothing_back(hire: Hire) -> None:
    agent = hire(hold_after=2, max_jobs=1)
    jobids = [agent.submit(command) for command in ("exit 1", "true", "exit 1", "true")]

    agent.finish(*jobids)

    assert agent.client.summarize_jobs().held_back == ()


def test_words_that_the_wire_does_not_take_are_made_fit(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    jobid = handed_over(scripted)
    scheduler.progress[key(jobid)] = ended(scripted.clock.now(), ending=Ending.FAILED, reason="\x1b[31m" + "é" * 5000)

    (job,) = scripted.finish(jobid)

    assert job.state == JobState.FAILED
    assert job.reason.startswith("\ufffd[31mé")


def test_two_agents_of_one_name_never_run_the_same_job(hire: Hire, tmp_path: Path) -> None:
    one, other = hire(folder="one"), hire(folder="other")
    jobids = [one.submit(f"echo ran >> {tmp_path / 'ran'}; sleep 0.2") for _ in range(10)]

    while not all(one.job(jobid).finished_at for jobid in jobids):
        one.agent.step()
        other.agent.step()

    assert identity_in(one.folder, "login1") != identity_in(other.folder, "login1")
    assert lines_of(tmp_path / "ran") == ["ran"] * 10


def test_an_agent_keeps_its_name(tmp_path: Path) -> None:
    assert identity_in(tmp_path / "state", "login1") == identity_in(tmp_path / "state", "login1")


def test_a_restarted_agent_finds_its_jobs(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobid = agent.submit(f"echo ran >> {tmp_path / 'ran'}; {until_there(tmp_path / 'go')}; exit 3")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)

    agent.restart()
    (tmp_path / "go").touch()
    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code) == (JobState.FAILED, 3)
    assert lines_of(tmp_path / "ran") == ["ran"]


def test_nothing_is_asked_for_before_all_is_reconciled(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    scheduler.silent = {"submit"}
    first = scripted.submit()
    scripted.work(lambda: scheduler.handed_over)
    scripted.restart()
    scheduler.silent = {"find"}
    second = scripted.submit()

    scripted.work_for(0.5)
    assert scripted.job(second).state == JobState.QUEUED

    scheduler.silent = set()
    scripted.work(lambda: {key(first), key(second)} <= scheduler.jobs.keys())
    assert scheduler.handed_over.count(key(first)) == 1


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


def test_a_refused_secret_ends_the_agent(server: RainbowServer, remote: Remote, tmp_path: Path) -> None:
    stranger = Remote(name=remote.name, token=remote.token, secret="wrong", stub=remote.stub)

    with crew(stranger, server.address, tmp_path) as agent, pytest.raises(Unauthenticated):
        agent.agent.run()


def test_a_drained_agent_takes_nothing_more_and_leaves_what_runs(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobid = agent.submit(f"{until_there(tmp_path / 'go')}; echo done")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    agent.agent.drain()
    agent.agent.run()
    later = agent.submit()

    assert agent.job(jobid).state == JobState.RUNNING
    assert agent.job(later).state == JobState.QUEUED
    (tmp_path / "go").touch()
    agent.restart()
    jobs: list[Job] = agent.finish(jobid, later)
    assert jobs[0].output == "done\n"


def test_an_agent_that_is_told_to_work_once_ends_when_nothing_is_left(hire: Hire) -> None:
    agent = hire()
    jobids = [agent.submit("sleep 0.2") for _ in range(12)]

    agent.agent.run(once=True)

    assert {agent.job(jobid).state for jobid in jobids} == {JobState.COMPLETED}


def test_an_agent_that_works_once_refuses_what_can_never_run(hire: Hire, tmp_path: Path) -> None:
    agent = hire(executor=local(tmp_path / "state", slots=2), interval_seconds=0.05)
    busy, too_large = agent.submit("sleep 0.3", tasks=2), agent.submit(nodes=50)

    agent.agent.run(once=True)

    assert agent.job(busy).state == JobState.COMPLETED
    assert agent.job(too_large).reason == "needs 50 slots, and this machine has 2"


def test_an_agent_that_works_once_says_when_its_scheduler_takes_nothing(
    scripted: Crew, scheduler: ScriptedExecutor
) -> None:
    jobid = scripted.submit()
    scheduler.silent = {"watch", "capacity"}

    with pytest.raises(FailedPrecondition, match="the scheduler does not answer"):
        scripted.agent.run(once=True)

    assert scripted.job(jobid).state == JobState.QUEUED


def test_a_server_that_is_away_at_the_start_is_waited_for(
    start_server: Callable[..., RainbowServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server = start_server()
    with joined(server) as remote, crew(remote, server.address, tmp_path, timeout_seconds=2) as agent:
        jobid = agent.submit()
        server.kill()
        agent.work(lambda: "cannot be reached" in caplog.text)
        for _ in range(3):
            agent.agent.step()
        assert not any(message.startswith("no longer") for message in caplog.messages), "nobody has answered yet"

        again = start_server(database_url=server.database_url, address=server.address)
        with Client(again.address, cluster=remote.name, token=remote.token) as submitter:
            agent.work(lambda: submitter.get_jobs([jobid]).jobs[0].state == JobState.COMPLETED)
    assert any(record.message.startswith("no longer") for record in caplog.records)
