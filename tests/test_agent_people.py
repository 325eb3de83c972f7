"""An agent that hands each job over as its owner, before the scheduler sees any of it."""

from pathlib import Path

import pytest

from rainbow.agent.context import Checkpoint
from rainbow.agent.people import People, UsersFile
from rainbow.records import JobState
from tests.support.agent_cast import Hire
from tests.support.agents import ScriptedExecutor


@pytest.fixture
def users_toml(tmp_path: Path) -> Path:
    path = tmp_path / "users.toml"
    path.write_text("")
    path.chmod(0o600)
    return path


def test_a_job_of_a_clusters_token_is_refused_with_that_reason(
    hire: Hire, scheduler: ScriptedExecutor, users_toml: Path
) -> None:
    people = People(file=UsersFile(path=users_toml), run_as_person=True)
    crew = hire(executor=scheduler, people=people)

    jobid = crew.submit("true")

    crew.work(lambda: crew.job(jobid).state == JobState.FAILED)
    assert "this one is no person's" in crew.job(jobid).reason
    assert scheduler.handed_over == []


def test_while_the_file_is_broken_jobs_wait_and_the_server_knows_why(
    hire: Hire, scheduler: ScriptedExecutor, users_toml: Path
) -> None:
    users_toml.write_text("[people")
    people = People(file=UsersFile(path=users_toml), run_as_person=True)
    crew = hire(executor=scheduler, people=people)
    jobid = crew.submit("true")

    crew.work(lambda: "is not valid TOML" in crew.client.summarize_jobs().not_ready)

    assert crew.job(jobid).state == JobState.QUEUED
    users_toml.write_text("")
    crew.work(lambda: crew.job(jobid).state == JobState.FAILED)


def test_a_job_that_is_held_waits_for_the_file(hire: Hire, scheduler: ScriptedExecutor, users_toml: Path) -> None:
    crew = hire(executor=scheduler, people=People(file=UsersFile(path=users_toml)))

    def break_it(moment: Checkpoint) -> None:
        if moment is Checkpoint.ACCEPTED:
            users_toml.write_text("[people")

    crew.checkpoint = break_it
    jobid = crew.submit("true")
    crew.work(lambda: "is not valid TOML" in crew.client.summarize_jobs().not_ready)
    assert crew.job(jobid).state == JobState.ACCEPTED
    assert scheduler.handed_over == []

    users_toml.write_text("")

    crew.work(lambda: scheduler.handed_over)
