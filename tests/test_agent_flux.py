"""The agent beside Flux, from the submission to the record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.agent.context import Checkpoint, ignore_checkpoint
from rainbow.records import JobState
from tests.support.agents import Crew, crew
from tests.support.executors import lines_of
from tests.support.flux_cast import CAST, Place
from tests.support.servers import RainbowServer
from tests.support.wire import joined

pytestmark = pytest.mark.parametrize("place", CAST, indirect=True)


@pytest.fixture
def agent(server: RainbowServer, place: Place) -> Iterator[Crew]:
    with (
        joined(server) as cluster,
        crew(cluster, server.address, place.site.folder, executor=place.flux, ahead=50, hold_after=5) as agent,
    ):
        yield agent


def test_jobs_run_each_once_and_their_records_tell_the_truth(agent: Crew, tmp_path: Path) -> None:
    jobids = [agent.submit(f"echo {number} >> {tmp_path / 'ran'}; exit {number}") for number in range(4)]

    jobs = agent.finish(*jobids)

    assert [job.exit_code for job in jobs] == [0, 1, 2, 3]
    assert [job.state for job in jobs] == [JobState.COMPLETED] + [JobState.FAILED] * 3
    assert sorted(lines_of(tmp_path / "ran")) == ["0", "1", "2", "3"]


def test_a_queue_that_is_disabled_fails_no_job_and_holds_none_back(agent: Crew, place: Place, tmp_path: Path) -> None:
    """It is disabled when the agent just took some, and before Flux has them."""
    waiting = [agent.submit(f"echo {number} >> {tmp_path / 'ran'}") for number in range(6)]
    agent.checkpoint = lambda moment: place.instance.disable("maintenance") if moment == Checkpoint.ACCEPTED else None
    agent.work(lambda: any(agent.job(jobid).state == JobState.ACCEPTED for jobid in waiting))
    agent.checkpoint = ignore_checkpoint

    later = agent.submit(f"echo 6 >> {tmp_path / 'ran'}")
    agent.work(lambda: "maintenance" in agent.client.summarize_jobs().not_ready)
    agent.work(lambda: any("maintenance" in agent.job(jobid).reason for jobid in waiting))
    during = [agent.job(jobid) for jobid in (*waiting, later)]
    place.instance.recover()
    jobs = agent.finish(*waiting, later)

    assert JobState.FAILED not in {job.state for job in during}
    assert {job.native_id for job in during if job.state == JobState.QUEUED} == {""}
    assert during[-1].state == JobState.QUEUED
    assert not agent.client.summarize_jobs().held_back
    assert {(job.state, job.attempt) for job in jobs} == {(JobState.COMPLETED, 1)}
    assert sorted(map(int, lines_of(tmp_path / "ran"))) == list(range(7))


def test_a_job_that_waits_says_why(agent: Crew, place: Place) -> None:
    free = place.flux.capacity()
    first = agent.submit("sleep 300", nodes=free.nodes, tasks=free.slots)
    agent.work(lambda: agent.job(first).state == JobState.RUNNING)
    second = agent.submit("true")
    agent.work(lambda: agent.job(second).reason)

    waiting = agent.job(second)
    agent.client.cancel_jobs([first])
    jobs = agent.finish(first, second)

    assert (waiting.state, waiting.reason) == (JobState.ACCEPTED, "waits in Flux for its turn and for resources")
    assert [job.state for job in jobs] == [JobState.CANCELLED, JobState.COMPLETED]


def test_a_job_knows_its_id_its_attempt_and_its_cluster(agent: Crew) -> None:
    jobid = agent.submit("echo $RAINBOW_JOB_ID $RAINBOW_ATTEMPT $RAINBOW_CLUSTER")

    (job,) = agent.finish(jobid)

    assert job.output == f"{jobid} 1 {agent.client.cluster}\n"


def test_a_job_finds_its_inputs_where_it_begins(agent: Crew) -> None:
    digests = agent.client.put_inputs([b"data\n"])

    jobid = agent.submit("cat conf/own", inputs={"conf/own": digests[0]})

    assert agent.finish(jobid)[0].output == "data\n"
