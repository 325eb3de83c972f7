"""A sweep through a real Slurm, in arrays, or a real Flux, with the agent killed at each step.

python -m benchmarks.sweep_drill [--scheduler slurm|flux] [MEMBERS]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Plan, open_bench
from benchmarks.cluster import Cluster, register
from rainbow.agent.context import Checkpoint
from rainbow.client import Client
from rainbow.records import GroupWish, Job, JobSpec, JobState
from tests.support.flux_instance import IS_THERE, RealInstance
from tests.support.servers import ROOT
from tests.support.slurm_cluster import SlurmCluster, missing_commands

MEMBERS = 2_000
# An agent that does not come to its step is killed all the same; the last one has so long for what is left.
STEP_SECONDS, LAST_SECONDS = 120, 1_800
# None of them waits so long that it is withdrawn.
STEPS = [step for step in Checkpoint if step is not Checkpoint.WITHDRAWN]
_BATCH, _BROKERS_OF_FLUX = 500, 2
_PLAN = Plan(seconds=0, rounds=1, in_flight=(1,), growth=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`killed`: the steps at which an agent was killed. `runs`: how often each member ran. `ended`: the last agent had
    nothing left to do.
    """

    killed: list[str]
    runs: list[int]
    jobs: list[Job]
    ended: bool

    @property
    def is_good(self) -> bool:
        return self.ended and set(self.runs) == {1} and {_record(job) for job in self.jobs} == {_GOOD}

    def in_words(self) -> str:
        wrong = sum(_record(job) != _GOOD for job in self.jobs)
        return (
            f"{len(self.jobs):,} members{self._arrays()}; agents killed at {len(self.killed)} of {len(STEPS)} steps; "
            f"{self.runs.count(1):,} members ran once, {sum(runs > 1 for runs in self.runs):,} more than once, "
            f"{self.runs.count(0):,} never; {wrong:,} records are not true"
        )

    def _arrays(self) -> str:
        """Of Slurm; Flux has none."""
        arrays = {job.native_id.partition("_")[0] for job in self.jobs if "_" in job.native_id}
        alone = sum("_" not in job.native_id for job in self.jobs)
        return f" in {len(arrays)} arrays, {alone:,} by themselves" if arrays else ""


_GOOD = (JobState.COMPLETED, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`environment`: by which an agent reaches the scheduler of that name."""

    scheduler: str
    environment: Mapping[str, str]


@contextmanager
def _slurm(folder: Path) -> Iterator[Site]:
    slurm = SlurmCluster(folder=folder)
    slurm.start()
    try:
        yield Site(scheduler="slurm", environment=slurm.environment)
    finally:
        slurm.stop()


@contextmanager
def _flux(folder: Path) -> Iterator[Site]:
    flux = RealInstance(folder, nodes=_BROKERS_OF_FLUX)
    try:
        flux.start()
        # With the way to Flux's bindings, where there is one.
        yield Site(scheduler="flux", environment={**os.environ, **flux.environment})
    finally:
        flux.stop()


_SITES: dict[str, Callable[[Path], AbstractContextManager[Site]]] = {"slurm": _slurm, "flux": _flux}


def main() -> int:
    options, began = _options(), time.monotonic()
    if missing := {"slurm": missing_commands(), "flux": [] if IS_THERE else ["flux"]}[options.scheduler]:
        print(f"{options.scheduler} is not installed: {', '.join(missing)}")
        return 1
    with (
        open_bench(plan=_PLAN, database="sqlite", folder=None, transport="grpcio") as bench,
        bench.servers_stopped(),
    ):
        cluster, folder = register(bench.start_server(), "sweep"), bench.folder / options.scheduler
        folder.mkdir()
        with _SITES[options.scheduler](folder) as site:
            outcome = _run(cluster, site, bench.folder, options.members)
        print(f"{outcome.in_words()}; {time.monotonic() - began:.0f} s", flush=True)
    return 0 if outcome.is_good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep_drill", description=__doc__)
    parser.add_argument("members", nargs="?", type=int, default=MEMBERS)
    parser.add_argument("--scheduler", choices=sorted(_SITES), default="slurm")
    return parser.parse_args()


def _run(cluster: Cluster, site: Site, folder: Path, members: int) -> Outcome:
    ran = folder / "ran"
    ran.mkdir()
    spec = JobSpec(command=f'echo ran >> "{ran}/$RAINBOW_ARRAY_INDEX"')
    with Client(cluster.address, cluster=cluster.name, token=cluster.token) as submitter:
        jobs = [replace(spec, array_index=index) for index in range(members)]
        ids = [result.jobid for result in submitter.submit_jobs(jobs, group=GroupWish(name="sweep")).results]
        killed = [step.name for step in STEPS if _is_killed_at(step, cluster, site, folder)]
        ended = _agent(cluster, site, folder, LAST_SECONDS) == 0
        records = [job for some in _parts(ids) for job in submitter.get_jobs(some).jobs]
    return Outcome(killed=killed, runs=[_runs(ran / str(index)) for index in range(members)], jobs=records, ended=ended)


def _is_killed_at(step: Checkpoint, cluster: Cluster, site: Site, folder: Path) -> bool:
    met = _agent(cluster, site, folder, STEP_SECONDS, step.name) is not None
    print(f"killed when {step}" if met else f"not seen within {STEP_SECONDS} s: {step}", flush=True)
    return met


def _agent(cluster: Cluster, site: Site, folder: Path, seconds: float, *doom: str) -> int | None:
    """Its exit code; None where it was killed because it took too long."""
    words = [site.scheduler, cluster.address, cluster.name, cluster.secret, str(folder / "state"), *doom]
    command = [sys.executable, "-m", "tests.support.doomed_agent", *words]
    with (folder / "agents.log").open("ab") as log:
        environment = {**site.environment, "HOME": os.environ.get("HOME", "/")}
        agent = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        try:
            return agent.wait(seconds)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()
            return None


def _parts(ids: list[int]) -> Iterator[list[int]]:
    return (ids[first : first + _BATCH] for first in range(0, len(ids), _BATCH))


def _runs(file: Path) -> int:
    return file.read_text().count("ran\n") if file.exists() else 0


def _record(job: Job) -> tuple[JobState, int | None, int]:
    return job.state, job.exit_code, job.attempt


if __name__ == "__main__":
    sys.exit(main())
