"""python -m benchmarks.sweep_drill [MEMBERS]: a sweep through arrays of a real Slurm, the agent killed at each step."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Plan, open_bench
from benchmarks.cluster import Cluster, register
from rainbow.agent.context import Checkpoint
from rainbow.client import Client
from rainbow.records import GroupWish, Job, JobSpec, JobState
from tests.support.servers import ROOT
from tests.support.slurm_cluster import SlurmCluster, missing_commands

MEMBERS = 2_000
# An agent that does not come to its step is killed all the same; the last one has so long for what is left.
STEP_SECONDS, LAST_SECONDS = 120, 1_800
# None of them waits so long that it is withdrawn.
STEPS = [step for step in Checkpoint if step is not Checkpoint.WITHDRAWN]
_BATCH = 500
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
        arrays = {job.native_id.partition("_")[0] for job in self.jobs if "_" in job.native_id}
        alone = sum("_" not in job.native_id for job in self.jobs)
        wrong = sum(_record(job) != _GOOD for job in self.jobs)
        return (
            f"{len(self.jobs):,} members in {len(arrays)} arrays, {alone:,} by themselves; agents killed at "
            f"{len(self.killed)} of {len(STEPS)} steps; {self.runs.count(1):,} members ran once, "
            f"{sum(runs > 1 for runs in self.runs):,} more than once, {self.runs.count(0):,} never; "
            f"{wrong:,} records are not true"
        )


_GOOD = (JobState.COMPLETED, 0, 1)


def main() -> int:
    if missing := missing_commands():
        print(f"Slurm is not installed: {', '.join(missing)}")
        return 1
    members, began = int(sys.argv[1]) if len(sys.argv) > 1 else MEMBERS, time.monotonic()
    with (
        open_bench(plan=_PLAN, database="sqlite", folder=None, transport="grpcio") as bench,
        bench.servers_stopped(),
    ):
        cluster, slurm = register(bench.start_server(), "sweep"), SlurmCluster(folder=bench.folder / "slurm")
        slurm.folder.mkdir()
        slurm.start()
        try:
            outcome = _run(cluster, slurm, bench.folder, members)
        finally:
            slurm.stop()
        print(f"{outcome.in_words()}; {time.monotonic() - began:.0f} s", flush=True)
    return 0 if outcome.is_good else 1


def _run(cluster: Cluster, slurm: SlurmCluster, folder: Path, members: int) -> Outcome:
    ran = folder / "ran"
    ran.mkdir()
    spec = JobSpec(command=f'echo ran >> "{ran}/$RAINBOW_ARRAY_INDEX"')
    with Client(cluster.address, cluster=cluster.name, token=cluster.token) as submitter:
        jobs = [replace(spec, array_index=index) for index in range(members)]
        ids = [result.jobid for result in submitter.submit_jobs(jobs, group=GroupWish(name="sweep")).results]
        killed = [step.name for step in STEPS if _is_killed_at(step, cluster, slurm, folder)]
        ended = _agent(cluster, slurm, folder, LAST_SECONDS) == 0
        records = [job for some in _parts(ids) for job in submitter.get_jobs(some).jobs]
    return Outcome(killed=killed, runs=[_runs(ran / str(index)) for index in range(members)], jobs=records, ended=ended)


def _is_killed_at(step: Checkpoint, cluster: Cluster, slurm: SlurmCluster, folder: Path) -> bool:
    met = _agent(cluster, slurm, folder, STEP_SECONDS, step.name) is not None
    print(f"killed when {step}" if met else f"not seen within {STEP_SECONDS} s: {step}", flush=True)
    return met


def _agent(cluster: Cluster, slurm: SlurmCluster, folder: Path, seconds: float, *doom: str) -> int | None:
    """Its exit code; None where it was killed because it took too long."""
    words = [cluster.address, cluster.name, cluster.secret, str(folder / "state"), *doom]
    command = [sys.executable, "-m", "tests.support.doomed_agent", *words]
    with (folder / "agents.log").open("ab") as log:
        environment = {**slurm.environment, "HOME": os.environ.get("HOME", "/")}
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
