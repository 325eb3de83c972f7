"""What jobs ask of a real Slurm, as Slurm and the jobs see it. Its GPUs are made up, its memory is the machine's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, Site, WorkRefused
from rainbow.executors.slurm import SlurmExecutor
from rainbow.specs import Work
from tests.support import schedulers
from tests.support.executors import hand_over, progress, until_there, wait_for, wait_until
from tests.support.schedulers import needs_slurm
from tests.support.slurm_cluster import ACCOUNT, GPU_TYPE, NODE_GPUS, NODE_MEMORY_MIB, NODES, SlurmCluster

pytestmark = needs_slurm
slurm_cluster = schedulers.slurm_cluster


@pytest.fixture
def slurm(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[Executor]:
    yield SlurmExecutor(Site(folder=tmp_path / "agent's état", environment=slurm_cluster.environment))
    slurm_cluster.run("scancel", "--me")


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({"gpus_per_task": 1}, "0"),
        ({"gpus_per_task": 1, "gpu_type": GPU_TYPE}, "0"),
        ({"gpus_per_task": 1, "tasks": 2}, "0,1"),
        ({"gpus_per_task": NODE_GPUS}, "0,1"),
        ({}, ""),
    ],
)
def test_a_job_sees_the_gpus_that_it_asked_for(slurm: Executor, asked: dict[str, Any], seen: str) -> None:
    ticket = hand_over(slurm, "rainbow-1-1", 'printf "%s" "$CUDA_VISIBLE_DEVICES"', **asked)
    wait_for(slurm, ticket, JobPhase.ENDED)

    assert slurm.output(ticket) == seen


def test_two_jobs_on_a_node_have_different_gpus(slurm: Executor, slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    command = f'printf "%s" "$CUDA_VISIBLE_DEVICES"; {until_there(tmp_path / "go")}'
    tickets = [
        hand_over(slurm, f"rainbow-{number}-1", command, gpus_per_task=1, partition="debug", constraint="first")
        for number in (1, 2)
    ]
    wait_until(lambda: all(slurm.output(ticket) for ticket in tickets))

    seen = {slurm.output(ticket) for ticket in tickets}
    third = hand_over(slurm, "rainbow-3-1", "true", gpus_per_task=1, constraint="first")
    wait_until(lambda: progress(slurm, third).reason == "Resources")
    (tmp_path / "go").touch()

    assert seen == {"0", "1"}
    assert wait_for(slurm, third, JobPhase.ENDED).exit_code == 0


def test_slurm_knows_all_that_a_job_asked_for(slurm: Executor, slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    ticket = hand_over(
        slurm,
        "rainbow-1-1",
        until_there(tmp_path / "go"),
        nodes=2,
        cores_per_task=2,
        gpus_per_task=1,
        gpu_type=GPU_TYPE,
        memory_mib_per_node=300,
        exclusive=True,
        account=ACCOUNT,
        partition="debug",
        constraint="local",
    )

    known = slurm_cluster.run("scontrol", "--oneliner", "show", "job", ticket.native_id)
    (tmp_path / "go").touch()

    expected = (
        "NumNodes=2",
        "NumTasks=2",
        "CPUs/Task=2",
        "MinMemoryNode=300M",
        f"TresPerTask=gres:gpu:{GPU_TYPE}:1",
        "OverSubscribe=NO",
        f"Account={ACCOUNT}",
        "Partition=debug",
        "Features=local",
    )
    assert [words for words in expected if words not in known] == []


def test_srun_gives_each_task_its_cores(slurm: Executor) -> None:
    shown = "scontrol --oneliner show step $SLURM_JOB_ID.$SLURM_STEP_ID"

    ticket = hand_over(slurm, "rainbow-1-1", f"srun --exact --ntasks=1 sh -c '{shown}'", cores_per_task=2)
    wait_for(slurm, ticket, JobPhase.ENDED)

    assert " CPUs=2 " in slurm.output(ticket)


def test_memory_that_is_taken_is_not_given_twice(slurm: Executor, tmp_path: Path) -> None:
    most = NODE_MEMORY_MIB
    first = hand_over(slurm, "rainbow-1-1", until_there(tmp_path / "go"), nodes=NODES, memory_mib_per_node=most)
    wait_for(slurm, first, JobPhase.RUNNING)

    second = hand_over(slurm, "rainbow-2-1", "true", memory_mib_per_node=1)
    wait_until(lambda: progress(slurm, second).reason == "Resources")
    (tmp_path / "go").touch()

    assert wait_for(slurm, second, JobPhase.ENDED).exit_code == 0


def test_a_job_that_takes_more_memory_than_it_asked_for_is_killed(slurm: Executor) -> None:
    command = "exec python3 -c 'taken = bytearray(200 << 20); import time; time.sleep(600)'"

    ticket = hand_over(slurm, "rainbow-1-1", command, memory_mib_per_node=50)
    seen = wait_for(slurm, ticket, JobPhase.ENDED)

    assert seen.ending in (Ending.SIGNALLED, Ending.FAILED)
    assert "exceeded" in slurm.output(ticket)
    assert "memory limit" in slurm.output(ticket)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"partition": "nowhere"}, "Invalid partition name specified"),
        ({"reservation": "never"}, "Requested reservation is invalid"),
        ({"constraint": "nothing"}, "Invalid feature specification"),
        ({"gpus_per_task": NODE_GPUS + 1}, "Requested node configuration is not available"),
        ({"gpus_per_task": 1, "gpu_type": "a100"}, "Requested node configuration is not available"),
        ({"memory_mib_per_node": NODE_MEMORY_MIB + 1}, "Memory specification can not be satisfied"),
        ({"cores_per_task": 3}, "CPU count per node can not be satisfied"),
    ],
)
def test_what_slurm_cannot_give_is_refused_in_its_words(slurm: Executor, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkRefused, match=f"Slurm refused: .*{words}"):
        slurm.submit(Work(command="true", **asked), "rainbow-1-1")


def test_an_account_that_a_partition_does_not_take_waits_with_slurms_reason(slurm: Executor) -> None:
    """Only a Slurm with accounting refuses one at once."""
    ticket = hand_over(slurm, "rainbow-1-1", "true", partition="accounts", account="no-such-account")

    wait_until(lambda: "account not known, so it can't use this partition" in progress(slurm, ticket).reason)

    assert progress(slurm, ticket).phase == JobPhase.PENDING
