"""The clusters of the demo and their work."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from clusters.facts import Facts, Partition, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A kind of job. The command may name `{n}`, a running number; `asks` are further fields of the job."""

    name: str
    command: str
    project: str
    nodes: tuple[int, ...]
    tasks_per_node: int
    run: timedelta
    environment: dict[str, str] = field(default_factory=dict)
    asks: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A cluster: its part of all jobs, how long jobs wait there, how many in a thousand fail, and what ails it.

    `silent_for`: how long its agent has not asked. `failing_for`: since when two of three jobs fail.
    """

    name: str
    share: int
    wait: timedelta
    max_nodes: int
    failures: int = 25
    silent_for: timedelta = timedelta(seconds=7)
    failing_for: timedelta | None = None
    paused_for: timedelta | None = None
    paused_reason: str = ""


WORK = (
    Work(
        name="lattice-qcd",
        command="srun ./milc --configuration {n} --steps 4000",
        project="hadrons",
        nodes=(8, 16, 32),
        tasks_per_node=64,
        run=timedelta(hours=3),
        environment={"OMP_NUM_THREADS": "4", "MILC_GAUGE": "/scratch/hadrons/gauge"},
        asks={"exclusive": True, "account": "hadrons"},
    ),
    Work(
        name="protein-md",
        command="gmx mdrun -deffnm replica{n} -maxh 6",
        project="folding",
        nodes=(1, 2, 4),
        tasks_per_node=32,
        run=timedelta(minutes=95),
        environment={"GMX_MAXBACKUP": "-1"},
    ),
    Work(
        name="climate-ensemble",
        command="./case.submit --member {n} --years 5",
        project="climate",
        nodes=(4, 8),
        tasks_per_node=128,
        run=timedelta(hours=2),
    ),
    Work(
        name="train-unet",
        command="torchrun --nproc-per-node=8 train.py --fold {n}",
        project="imaging",
        nodes=(1, 1, 2),
        tasks_per_node=8,
        run=timedelta(minutes=70),
        environment={"NCCL_DEBUG": "WARN", "WANDB_MODE": "offline"},
        asks={"cores_per_task": 8, "gpus_per_task": 1, "gpu_type": "a100", "memory_mib_per_node": 512 * 1024},
    ),
    Work(
        name="genome-align",
        command="bwa mem -t 32 hg38.fa sample{n}.fastq.gz | samtools sort -o sample{n}.bam",
        project="genomes",
        nodes=(1,),
        tasks_per_node=32,
        run=timedelta(minutes=25),
    ),
    Work(
        name="nightly-regression",
        command="make check JOBS=64 SUITE=part{n}",
        project="ci",
        nodes=(1,),
        tasks_per_node=64,
        run=timedelta(minutes=8),
        environment={"CI": "true"},
    ),
    Work(
        name="plot",
        command="python plot.py results/{n}.h5 --out figures/{n}.pdf",
        project="climate",
        nodes=(1,),
        tasks_per_node=1,
        run=timedelta(minutes=2),
    ),
)

_TIB = 1024**2  # in MiB
_MINUTE = timedelta(minutes=1)
FLEET = (
    Profile(name="keebler", share=18, wait=4 * _MINUTE, max_nodes=64, silent_for=47 * _MINUTE),
    Profile(name="cassava", share=16, wait=3 * _MINUTE, max_nodes=32),
    Profile(name="dorado-gpu", share=14, wait=9 * _MINUTE, max_nodes=8, failing_for=55 * _MINUTE),
    Profile(name="fjord", share=12, wait=2 * _MINUTE, max_nodes=128),
    Profile(name="granite", share=10, wait=6 * _MINUTE, max_nodes=16),
    Profile(name="harbor", share=8, wait=3 * _MINUTE, max_nodes=32, failures=60),
    Profile(
        name="juniper",
        share=6,
        wait=5 * _MINUTE,
        max_nodes=16,
        paused_for=timedelta(hours=26),
        paused_reason="file system maintenance until Monday",
    ),
    Profile(name="kestrel", share=5, wait=2 * _MINUTE, max_nodes=8),
    Profile(name="lumen", share=5, wait=2 * _MINUTE, max_nodes=64),
    Profile(name="marl", share=3, wait=2 * _MINUTE, max_nodes=8),
    Profile(name="osprey-test", share=2, wait=1 * _MINUTE, max_nodes=4, failures=180),
    Profile(name="pampas", share=1, wait=1 * _MINUTE, max_nodes=4, silent_for=timedelta(days=3)),
)
# A pool, its clusters with their delays, and how many jobs wait in it; left out of fleets without these clusters.
POOL = "any-gpu"
POOL_MEMBERS = {"dorado-gpu": 0, "kestrel": 600}
POOL_JOBS = 3


def facts_of(profile: Profile) -> Facts:
    """Partitions in which the work of the profile can run."""
    batch = Partition(
        name="batch",
        nodes=2 * profile.max_nodes,
        cores_per_node=128,
        memory_mib_per_node=_TIB // 2,
        gpus_per_node={"": 0},
        longest_seconds=48 * 3600,
        default=True,
        features=("ib",),
    )
    gpu = Partition(
        name="gpu",
        nodes=max(2, profile.max_nodes // 4),
        cores_per_node=64,
        memory_mib_per_node=_TIB,
        gpus_per_node={"a100": 8},
        longest_seconds=24 * 3600,
        features=("ib", "nvlink"),
    )
    values: dict[str, Value] = {"scheduler": "slurm", "scheduler_version": "23.11.4", "arch": "x86_64"}
    return Facts(values={**values, "data": ("hg38", "imagenet")}, partitions=(batch, gpu))


def fleet_of(number: int) -> list[Profile]:
    """So many clusters: the ones above, then as many like them as it takes."""
    more = (
        Profile(name=f"site-{place:03}", share=4, wait=3 * _MINUTE, max_nodes=32)
        for place in range(1, number - len(FLEET) + 1)
    )
    return [*FLEET[:number], *more]
