"""What submitters see of their jobs on a real Slurm: sweeps, output, files, signals, and trying again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.arrays import variables_of
from rainbow.executors.executor import Site
from rainbow.executors.table import EXECUTORS
from rainbow.records import EndCause, GroupWish, JobSpec, JobState
from tests.support.agents import Crew, crew
from tests.support.executors import until_there
from tests.support.patience import wait_until
from tests.support.servers import RainbowServer
from tests.support.slurm_cluster import SlurmCluster, missing_commands
from tests.support.wire import joined
from tests.support.wishes import at_work

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")

KEPT_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def agent(server: RainbowServer, slurm: SlurmCluster, tmp_path: Path) -> Iterator[Crew]:
    """Up to ten jobs of any size may wait in Slurm's queue."""
    folder = tmp_path / "state"
    executor = EXECUTORS["slurm"].make(Site(folder=folder, environment=slurm.environment, kept_output_bytes=KEPT_BYTES))
    with (
        joined(server) as cluster,
        crew(cluster, server.address, folder, executor=executor, ahead=10, kept_output_bytes=KEPT_BYTES) as made,
        at_work(made),
    ):
        yield made


def is_running(agent: Crew, jobid: int) -> bool:
    return agent.job(jobid).state == JobState.RUNNING


def test_a_sweep_has_its_variables_its_limit_and_one_cancel(agent: Crew, tmp_path: Path) -> None:
    of_all = variables_of(range(3, 51))
    names = "RAINBOW_GROUP RAINBOW_ARRAY_INDEX SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID RAINBOW_ATTEMPT"
    told = " ".join(f"${name}" for name in (*names.split(), *of_all))
    first = [JobSpec(command=f"srun sh -c 'echo {told}'", array_index=index, environment=of_all) for index in (3, 4)]
    held = JobSpec(command=until_there(tmp_path / "never"))
    members = [*first, *(held for _ in range(4))]

    answer = agent.client.submit_jobs(members, group=GroupWish(name="sweep", at_once=2))
    ids, group = [result.jobid for result in answer.results], answer.group
    wait_until(lambda: all(is_running(agent, jobid) for jobid in ids[2:4]))
    states = [agent.job(jobid).state for jobid in ids]
    agent.client.cancel_group(group, reason="enough")
    wait_until(lambda: all(agent.job(jobid).finished_at for jobid in ids))

    assert states == [*[JobState.COMPLETED] * 2, *[JobState.RUNNING] * 2, *[JobState.BLOCKED] * 2]
    assert [agent.job(jobid).output.split() for jobid in ids[:2]] == [
        [str(group), str(index), str(group), str(index), "1", *of_all.values()] for index in (3, 4)
    ]
    assert {agent.job(jobid).state for jobid in ids[2:]} == {JobState.CANCELLED}


def test_output_and_errors_are_followed_to_their_end(agent: Crew, tmp_path: Path) -> None:
    jobid = agent.submit(f"echo begun; echo trouble >&2; {until_there(tmp_path / 'go')}; echo over")
    wait_until(lambda: is_running(agent, jobid))

    parts = agent.client.read_output(jobid, follow=True)
    before = next(part.data for part in parts if part.data)
    (tmp_path / "go").touch()

    assert before + b"".join(part.data for part in parts) == b"begun\nover\n"
    assert b"".join(part.data for part in agent.client.read_output(jobid, stderr=True)) == b"trouble\n"


def test_a_signal_reaches_the_command(agent: Crew, tmp_path: Path) -> None:
    jobid = agent.submit(f"trap 'echo told; exit 5' USR1; touch {tmp_path / 'ready'}; while :; do sleep 0.1; done")
    wait_until(lambda: is_running(agent, jobid) and (tmp_path / "ready").exists())

    agent.client.signal_jobs([jobid], "USR1")
    wait_until(lambda: agent.job(jobid).finished_at)

    job = agent.job(jobid)
    assert (job.state, job.exit_code, job.output.splitlines()[0]) == (JobState.FAILED, 5, "told")


def test_inputs_are_there_and_outputs_are_fetched(agent: Crew) -> None:
    (digest,) = agent.client.put_inputs([b"1 2 3\n"])
    command = "mkdir results && tr ' ' + < in.txt > results/sum.txt && touch results/empty other"
    jobid = agent.submit(command, inputs={"in.txt": digest}, outputs=("results/*",))
    wait_until(lambda: agent.job(jobid).finished_at)

    found = {file.name: file.size for file in agent.client.list_files(jobid) if file.name.startswith("results/")}

    assert agent.job(jobid).state == JobState.COMPLETED
    assert found == {"results/empty": 0, "results/sum.txt": 6}
    assert b"".join(agent.client.read_file(jobid, "results/sum.txt")) == b"1+2+3\n"


def test_jobs_are_tried_again_after_the_ends_that_they_name(agent: Crew, slurm: SlurmCluster, tmp_path: Path) -> None:
    busy = agent.submit("[ $RAINBOW_ATTEMPT = 2 ] || exit 75", retry_most=1, retry_on=("exit_code:75",))
    wait_until(lambda: agent.job(busy).attempts)
    unlucky = agent.submit(
        f"[ $RAINBOW_ATTEMPT = 2 ] || {until_there(tmp_path / 'never')}", retry_most=1, retry_on=("node_failed",)
    )
    wait_until(lambda: is_running(agent, unlucky))
    node = slurm.run("squeue", "--noheader", "--format=%N", f"--jobs={agent.job(unlucky).native_id}").strip()
    slurm.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    wait_until(lambda: agent.job(unlucky).attempts)
    slurm.run("scontrol", "update", f"NodeName={node}", "State=RESUME")

    wait_until(lambda: all(agent.job(jobid).finished_at for jobid in (busy, unlucky)))

    jobs = [agent.job(jobid) for jobid in (busy, unlucky)]
    assert [(job.state, job.attempt) for job in jobs] == [(JobState.COMPLETED, 2)] * 2
    assert [[end.end_cause for end in job.attempts] for job in jobs] == [[EndCause.EXIT], [EndCause.NODE_FAILED]]


def test_a_job_that_reaches_its_time_limit_is_tried_again_where_it_says_so(agent: Crew, tmp_path: Path) -> None:
    """A minute is the shortest limit of Slurm."""
    jobid = agent.submit(
        f"[ $RAINBOW_ATTEMPT = 2 ] || {until_there(tmp_path / 'never')}",
        time_limit_seconds=1,
        retry_most=1,
        retry_on=("timed_out",),
    )

    wait_until(lambda: agent.job(jobid).finished_at)

    job = agent.job(jobid)
    assert (job.state, job.attempt, job.exit_code) == (JobState.COMPLETED, 2, 0)
    assert [(end.end_cause, end.reason) for end in job.attempts] == [(EndCause.TIMED_OUT, "reached its time limit")]


def test_a_job_that_slurm_preempts_is_told_as_such_and_tried_again(agent: Crew, tmp_path: Path) -> None:
    """By one of a partition of a higher PriorityTier. PreemptMode is REQUEUE, but rainbow's jobs are not requeued."""
    node = {"tasks": 2, "constraint": "first"}
    for_good = agent.submit(until_there(tmp_path / "never"), **node)
    wait_until(lambda: is_running(agent, for_good))
    urgent = agent.submit(until_there(tmp_path / "go"), **node, partition="urgent")
    wait_until(lambda: agent.job(for_good).finished_at and is_running(agent, urgent))
    (tmp_path / "go").touch()
    again = agent.submit(
        f"[ $RAINBOW_ATTEMPT = 2 ] || {until_there(tmp_path / 'never')}", **node, retry_most=1, retry_on=("preempted",)
    )
    wait_until(lambda: is_running(agent, again))
    agent.submit("true", **node, partition="urgent")

    wait_until(lambda: agent.job(again).finished_at)

    job = agent.job(for_good)
    assert (job.state, job.end_cause, job.attempt) == (JobState.FAILED, EndCause.PREEMPTED, 1)
    assert (job.reason, job.exit_code) == ("preempted by another job", None)
    job = agent.job(again)
    assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert [(end.end_cause, end.reason) for end in job.attempts] == [(EndCause.PREEMPTED, "preempted by another job")]


def test_a_job_that_is_requeued_in_slurm_is_refused_there_and_runs_once(
    agent: Crew, slurm: SlurmCluster, tmp_path: Path
) -> None:
    """What may have started is not started again but by rainbow's own next attempt."""
    jobid = agent.submit(f"echo ran; {until_there(tmp_path / 'go')}")
    wait_until(lambda: is_running(agent, jobid))

    slurm.run("scontrol", "requeue", agent.job(jobid).native_id)
    (tmp_path / "go").touch()
    wait_until(lambda: agent.job(jobid).finished_at)

    job = agent.job(jobid)
    assert (job.state, job.attempt, job.output) == (JobState.COMPLETED, 1, "ran\n")


def test_a_long_output_is_cut_in_its_middle_and_who_follows_it_reads_the_same(agent: Crew) -> None:
    """It is cut while it grows."""
    jobid = agent.submit("for part in 1 2 3 4; do seq 60000; sleep 4; done; echo last")
    wait_until(lambda: is_running(agent, jobid))

    followed = b"".join(part.data for part in agent.client.read_output(jobid, follow=True))
    output = b"".join(part.data for part in agent.client.read_output(jobid))

    assert followed == output
    assert output.startswith(b"1\n2\n3\n") and output.endswith(b"last\n")
    assert b"rainbow: the output is longer than 64 KiB; only its end follows" in output
    assert len(output) < 240_000, "of 1.4 million bytes"
