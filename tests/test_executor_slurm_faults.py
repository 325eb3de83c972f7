"""What may go wrong between an agent and a real Slurm: nothing runs twice, no trouble is taken for the end of a job."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors import slurm_options
from rainbow.executors.commands import ask
from rainbow.executors.executor import Ending, JobPhase, SchedulerSilent, Site
from rainbow.executors.slurm import SlurmExecutor
from rainbow.specs import Work
from tests.support.executors import hand_over, lines_of, progress, wait_for, wait_until
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_commands

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def slurm(cluster: SlurmCluster, tmp_path: Path) -> Iterator[SlurmExecutor]:
    executor = SlurmExecutor(Site(folder=tmp_path / "state", environment=cluster.environment))
    yield executor
    set_partition(cluster, "UP")
    set_nodes(cluster, "RESUME")
    cluster.run("scancel", "--me")
    wait_until(lambda: executor.capacity().slots == 2 * NODES)


def set_partition(cluster: SlurmCluster, state: str) -> None:
    cluster.run("scontrol", "update", "PartitionName=debug", f"State={state}")


def set_nodes(cluster: SlurmCluster, state: str, nodes: str = f"n[0-{NODES - 1}]") -> None:
    cluster.run("scontrol", "update", f"NodeName={nodes}", f"State={state}", "Reason=test")


def test_a_job_that_was_handed_over_twice_and_cancelled_never_runs(
    slurm: SlurmExecutor, cluster: SlurmCluster, tmp_path: Path
) -> None:
    """Its agent knows of one of the two, and that one is cancelled."""
    set_partition(cluster, "DOWN")
    hand_over(slurm, "rainbow-1-1", f"echo ran >> {tmp_path}/ran")
    known = hand_over(slurm, "rainbow-1-1", f"echo ran >> {tmp_path}/ran")

    slurm.cancel([known])
    seen = wait_for(slurm, known, JobPhase.ENDED)
    set_partition(cluster, "UP")
    wait_until(lambda: not cluster.run("squeue", "--noheader", "--format=%i").split())

    assert (seen.ending, progress(slurm, known).ending) == (Ending.CANCELLED, Ending.CANCELLED)
    assert lines_of(tmp_path / "ran") == []


@pytest.mark.parametrize("state", ["DRAIN", "INACTIVE"])
def test_a_partition_that_takes_no_jobs_is_not_ready_and_refuses_none(
    slurm: SlurmExecutor, cluster: SlurmCluster, state: str
) -> None:
    set_partition(cluster, state)

    closed = slurm.capacity()
    with pytest.raises(SchedulerSilent, match=r"takes no jobs now: .* partition not available"):
        slurm.submit(Work(command="true"), "rainbow-2-1")
    set_partition(cluster, "UP")

    assert closed.not_ready == f"no node is in service: {NODES} in a partition that is not up"
    assert wait_for(slurm, hand_over(slurm, "rainbow-2-1", "true"), JobPhase.ENDED).exit_code == 0


WRONG_OPTIONS = [
    ("--no-such-option", "unrecognized option '--no-such-option'"),
    ("--mem=lots", "Invalid --mem specification"),
    ("--constraint=none", "Invalid feature specification"),
]


@pytest.mark.parametrize(("option", "words"), WRONG_OPTIONS)
def test_an_option_that_sbatch_does_not_take_is_not_ready_before_it_fails_any_job(
    cluster: SlurmCluster, tmp_path: Path, option: str, words: str
) -> None:
    site = Site(folder=tmp_path / "state", environment=cluster.environment, options=("--nice", option))

    seen = SlurmExecutor(site).capacity().not_ready

    assert seen.startswith("sbatch does not take what --scheduler-option says: ")
    assert words in seen


def test_an_option_that_only_large_jobs_fit_keeps_none_away(cluster: SlurmCluster, tmp_path: Path) -> None:
    """A machine with more memory may come, and a job of more nodes may fit."""
    site = Site(folder=tmp_path / "state", environment=cluster.environment, options=("--mem=900G",))

    assert SlurmExecutor(site).capacity().not_ready == ""


def test_options_are_tried_once_when_they_are_right(
    cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    site = Site(folder=tmp_path / "state", environment=cluster.environment, options=("--partition=debug", "--nice"))
    slurm = SlurmExecutor(site)
    monkeypatch.setattr(slurm_options, "ask", lambda command, **more: tried.append(command[0]) or ask(command, **more))

    assert (slurm.capacity().not_ready, slurm.capacity().not_ready) == ("", "")
    assert tried == ["sbatch"]


def test_drained_nodes_are_not_ready_and_jobs_wait(slurm: SlurmExecutor, cluster: SlurmCluster) -> None:
    set_nodes(cluster, "DRAIN")

    ticket = hand_over(slurm, "rainbow-3-1", "exit 3")
    wait_until(lambda: progress(slurm, ticket).reason)
    waiting, capacity = progress(slurm, ticket), slurm.capacity()
    set_nodes(cluster, "RESUME")

    assert capacity.not_ready == f"no node is in service: {NODES} drained"
    assert waiting.phase == JobPhase.PENDING
    assert wait_for(slurm, ticket, JobPhase.ENDED).exit_code == 3


@pytest.mark.parametrize("command", ["sleep 300", "trap 'exit 0' TERM; sleep 300 & wait"])
def test_a_node_that_fails_is_told_as_that(slurm: SlurmExecutor, cluster: SlurmCluster, command: str) -> None:
    ticket = hand_over(slurm, "rainbow-4-1", command)
    wait_for(slurm, ticket, JobPhase.RUNNING)
    node = cluster.run("squeue", "--noheader", "--format=%N", f"--jobs={ticket.native_id}").strip()

    set_nodes(cluster, "DOWN", node)
    seen = wait_for(slurm, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.NODE_FAILED, None, None)
    assert seen.reason == "a node that it ran on failed"


def test_what_a_slow_controller_takes_late_runs_once(
    slurm: SlurmExecutor, cluster: SlurmCluster, tmp_path: Path
) -> None:
    controller = int((cluster.folder / "slurmctld.pid").read_text())

    os.kill(controller, signal.SIGSTOP)
    try:
        with cluster.impatient(), pytest.raises(SchedulerSilent):
            hand_over(slurm, "rainbow-5-1", f"echo ran >> {tmp_path}/ran; exit 5")
    finally:
        os.kill(controller, signal.SIGCONT)
    ticket = hand_over(slurm, "rainbow-5-1", f"echo ran >> {tmp_path}/ran; exit 5")
    seen = wait_for(slurm, ticket, JobPhase.ENDED)
    wait_until(lambda: not cluster.run("squeue", "--noheader", "--format=%i").split())

    assert seen.exit_code == 5
    assert lines_of(tmp_path / "ran") == ["ran"]
