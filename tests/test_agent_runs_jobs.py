"""The agent with jobs of this machine: what they do, and what their records say."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.identity import identity_in
from rainbow.agent.variables import with_variables
from rainbow.client import Client
from rainbow.errors import InvalidArgument
from rainbow.records import GroupWish, JobSpec, JobState
from rainbow.slurm_commands.output_files import ARRAY_ID
from rainbow.specs import Work
from tests.support.agent_cast import Hire
from tests.support.agents import local
from tests.support.executors import lines_of, until_there
from tests.support.rows import add_token, execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote


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
    assert not any(word in job.output for word in ("RAINBOW_SECRET", "hush-hush"))


def test_many_jobs_run_side_by_side_and_each_once(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobids = [agent.submit(f"echo {number} >> {tmp_path / 'ran'}") for number in range(20)]

    jobs = agent.finish(*jobids)

    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert sorted(map(int, lines_of(tmp_path / "ran"))) == list(range(20))


def test_a_running_job_is_stopped_when_its_submitter_says_so(hire: Hire, tmp_path: Path) -> None:
    agent = hire()
    jobid = agent.submit(f"echo begun; touch {tmp_path / 'begun'}; sleep 3600")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING and (tmp_path / "begun").exists())

    agent.client.cancel_jobs([jobid], reason="wrong input file")
    agent.clock.move(16)  # the next heartbeat is due
    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code, job.reason) == (JobState.CANCELLED, None, "wrong input file")
    assert job.output == "begun\n"


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


def test_two_agents_of_one_name_never_run_the_same_job(hire: Hire, tmp_path: Path) -> None:
    one, other = hire(folder="one"), hire(folder="other")
    jobids = [one.submit(f"echo ran >> {tmp_path / 'ran'}; sleep 0.2") for _ in range(10)]

    while not all(one.job(jobid).finished_at for jobid in jobids):
        one.agent.step()
        other.agent.step()

    assert identity_in(one.folder, "login1") != identity_in(other.folder, "login1")
    assert lines_of(tmp_path / "ran") == ["ran"] * 10


def test_a_job_knows_its_id_its_attempt_and_its_cluster(hire: Hire) -> None:
    agent = hire()

    jobid = agent.submit("echo $RAINBOW_JOB_ID $RAINBOW_ATTEMPT $RAINBOW_CLUSTER")
    (job,) = agent.finish(jobid)

    assert job.output == f"{jobid} 1 {agent.client.cluster}\n"


def test_jobs_in_place_of_tasks_are_told_the_arrays_of_these(hire: Hire) -> None:
    agent = hire()
    tell = JobSpec(
        command=f"echo $RAINBOW_GROUP $SLURM_ARRAY_JOB_ID {ARRAY_ID}_$SLURM_ARRAY_TASK_ID; exit 1", array_index=1
    )
    queued = [agent.client.submit_jobs([tell], group=GroupWish(name="sweep")) for _ in range(2)]
    old = agent.finish(*(answer.results[0].jobid for answer in queued))

    new = agent.finish(*(result.jobid for result in agent.client.resubmit_jobs([job.id for job in old]).results))
    changed = {"environment": {"A": "1"}}
    newest = agent.client.resubmit_jobs([job.id for job in new], changes=changed).results
    third = agent.finish(*(result.jobid for result in newest))

    assert [job.output for job in old] == [
        f"{answer.group} {answer.group} {3_000_000_000 + answer.group}_1\n" for answer in queued
    ]
    assert [job.output for job in new] == [job.output for job in third] == [job.output for job in old]
    assert {job.group for job in (*new, *third)} == {0}


def test_scripts_of_earlier_releases_have_numbers_of_no_array_where_theirs_is_not_known() -> None:
    work = Work(command="echo $((3000000000 + RAINBOW_GROUP))", array_index=1)

    told = [with_variables(work, jobid=jobid, attempt=1, cluster="keebler").environment for jobid in (7, 8)]
    other = with_variables(replace(work, command="true"), jobid=7, attempt=1, cluster="keebler").environment

    assert [one["RAINBOW_GROUP"] for one in told] == [str(2**31 + 7), str(2**31 + 8)]
    assert "RAINBOW_GROUP" not in other


def test_nobody_else_says_what_these_variables_are(hire: Hire) -> None:
    agent = hire()

    with pytest.raises(InvalidArgument, match="RAINBOW_JOB_ID"):
        agent.submit("true", environment={"RAINBOW_JOB_ID": "1"})
