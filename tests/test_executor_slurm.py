"""The Slurm executor against a real Slurm: `apt-get install --no-install-recommends slurmctld slurmd slurm-client`."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, SchedulerSilent, Site, WorkRefused
from rainbow.executors.slurm import SlurmExecutor
from rainbow.executors.table import EXECUTORS
from rainbow.specs import Work
from tests.support.executors import hand_over, lines_of, progress, until_there, wait_for, wait_until
from tests.support.patience import PATIENCE_SECONDS
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_commands

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The agent's state folder, with all that is hard in a path."""
    return tmp_path / "the agent's 100% état"


@pytest.fixture
def site(cluster: SlurmCluster, state: Path) -> Site:
    return Site(folder=state, environment=cluster.environment)


@pytest.fixture
def slurm(site: Site) -> Executor:
    return EXECUTORS["slurm"].make(site)


def test_nothing_of_the_agent_reaches_a_job(slurm: Executor) -> None:
    ticket = hand_over(slurm, "rainbow-2-1", "env -0 | cut -z -d= -f1 | tr '\\0' '\\n'", environment={"MINE": "1"})
    wait_for(slurm, ticket, JobPhase.ENDED)

    names = set(slurm.output(ticket).split())

    others = {name for name in names if not name.startswith("SLURM")}
    assert {"MINE", "PATH", "HOME", "USER", "SLURM_JOB_ID"} <= names
    assert others <= {
        "MINE",
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "TMPDIR",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }


def test_a_missing_directory_fails_the_job_and_its_output_says_so(slurm: Executor) -> None:
    ticket = hand_over(slurm, "rainbow-5-1", "true", working_directory="/no/such/directory")

    seen = wait_for(slurm, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 1)
    assert "/no/such/directory" in slurm.output(ticket)


def test_a_job_may_end_in_its_own_way_when_asked_to(slurm: Executor) -> None:
    ticket = hand_over(slurm, "rainbow-7-1", "trap 'echo saved; exit 3' TERM; sleep 300 & echo ready; wait")
    wait_until(lambda: "ready" in slurm.output(ticket))

    slurm.cancel([ticket])
    seen = wait_for(slurm, ticket, JobPhase.ENDED)

    assert seen.ending == Ending.CANCELLED
    assert "saved\n" in slurm.output(ticket)


def test_more_nodes_than_exist_wait_with_a_reason_until_cancelled(slurm: Executor) -> None:
    ticket = hand_over(slurm, "rainbow-8-1", "true", nodes=NODES + 1)
    wait_until(lambda: progress(slurm, ticket).reason)

    seen = progress(slurm, ticket)

    assert seen.phase == JobPhase.PENDING
    assert seen.reason in ("PartitionConfig", "PartitionNodeLimit")
    slurm.cancel([ticket])
    ended = wait_for(slurm, ticket, JobPhase.ENDED)
    assert (ended.ending, ended.started_at) == (Ending.CANCELLED, None)


def test_what_slurm_will_never_take_is_refused_in_its_words(site: Site) -> None:
    slurm = SlurmExecutor(Site(folder=site.folder, environment=site.environment, options=("--partition=nowhere",)))

    with pytest.raises(WorkRefused, match="Invalid partition name"):
        slurm.submit(Work(command="true"), "rainbow-9-1")


def test_capacity_is_what_is_free_now(slurm: Executor) -> None:
    wait_until(lambda: slurm.capacity().nodes == NODES)
    before = slurm.capacity()

    ticket = hand_over(slurm, "rainbow-10-1", "sleep 300", nodes=2, tasks=4)
    wait_for(slurm, ticket, JobPhase.RUNNING)
    during = slurm.capacity()

    assert (before.nodes, before.slots, before.not_ready) == (3, 6, "")
    assert (during.nodes, during.slots) == (1, 2)
    slurm.cancel([ticket])


def test_a_job_is_found_by_its_name_and_only_by_its_own_agent(slurm: Executor, site: Site) -> None:
    running = hand_over(slurm, "rainbow-11-1", "sleep 300")
    waiting = hand_over(slurm, "rainbow-12-1", "true", nodes=NODES + 1)
    stranger = SlurmExecutor(Site(folder=site.folder / "other", environment=site.environment))

    found = SlurmExecutor(site).find([running.key, waiting.key, "rainbow-13-1"])

    assert found == {running.key: running.native_id, waiting.key: waiting.native_id}
    assert stranger.find([running.key, waiting.key]) == {}
    slurm.cancel([running])
    slurm.cancel([waiting])


def test_a_job_outlives_the_controller(slurm: Executor, cluster: SlurmCluster, tmp_path: Path) -> None:
    ticket = hand_over(slurm, "rainbow-15-1", f"{until_there(tmp_path / 'go')}; exit 4")
    wait_for(slurm, ticket, JobPhase.RUNNING)

    with cluster.without_controller():
        with pytest.raises(SchedulerSilent):
            slurm.watch([ticket])
        with pytest.raises(SchedulerSilent):
            slurm.submit(Work(command="true"), "rainbow-16-1")
        with pytest.raises(SchedulerSilent):
            slurm.cancel([ticket])
        (tmp_path / "go").touch()

    assert wait_for(slurm, ticket, JobPhase.ENDED).exit_code == 4
    assert slurm.find(["rainbow-16-1"]) == {}


def test_a_record_that_left_the_queue_is_told_by_the_job_itself(slurm: Executor, cluster: SlurmCluster) -> None:
    done = hand_over(slurm, "rainbow-17-1", "exit 7")
    killed = hand_over(slurm, "rainbow-18-1", "kill -15 $$")
    ended = wait_for(slurm, done, JobPhase.ENDED)
    wait_until(
        lambda: "rainbow-1" not in cluster.run("squeue", "--states=all", "--format=%j"), seconds=PATIENCE_SECONDS
    )

    seen, other = progress(slurm, done), progress(slurm, killed)

    assert (seen.phase, seen.ending, seen.exit_code) == (JobPhase.ENDED, Ending.EXITED, 7)
    assert (other.ending, other.signal) == (Ending.SIGNALLED, 15)
    # Slurm tells whole seconds, and of when it began to start the job.
    assert ended.started_at and seen.started_at and seen.ended_at
    assert ended.started_at - timedelta(seconds=1) <= seen.started_at <= seen.ended_at
    assert slurm.find([done.key]) == {done.key: done.native_id}


def test_a_job_that_claims_the_number_of_another_does_not_have_it_cancelled(slurm: Executor, state: Path) -> None:
    other, evil = (hand_over(slurm, f"rainbow-{number}-1", "sleep 300") for number in (30, 31))
    for ticket in (other, evil):
        wait_for(slurm, ticket, JobPhase.RUNNING)
    wait_until(lambda: lines_of(state / "jobs" / evil.key / "started"))
    (state / "jobs" / evil.key / "started").write_text(f"{other.native_id} 1795374601 0\n")

    slurm.cancel([evil])

    assert wait_for(slurm, evil, JobPhase.ENDED).ending == Ending.CANCELLED
    assert progress(slurm, other).phase == JobPhase.RUNNING
    slurm.cancel([other])
