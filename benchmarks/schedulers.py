"""What runs jobs: this machine, Slurm and Flux, each alone and through an agent."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.agents import running_agent
from benchmarks.bench import Bench, Server
from benchmarks.cluster import Cluster, register
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import JobSpec, JobState
from tests.support.flux_instance import IS_THERE, RealInstance, flux_version
from tests.support.slurm_cluster import SlurmCluster, missing_commands

SLOTS, BROKERS_OF_FLUX = 8, 2
# How many may wait in a scheduler's queue for the agent, and the most tasks of one array, by MaxArraySize of the tests.
AHEAD, TASKS = 500, 1000
_PATIENCE_SECONDS = 300
# A look takes a tenth of the time at most, since that of Slurm at ten thousand tasks takes long.
_AGAIN_SECONDS, _BETWEEN_LOOKS = 0.05, 9
_TRUE = pb.JobSpec(name="true", nodes=1, command="true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    after_seconds: float
    over: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to run jobs. `run` runs so many `true`, to the end of the last, and returns what it saw of their ends
    meanwhile. `submit` submits one job of a command, and returns what waits for its end.

    `pid` is the agent's process; None without one.
    """

    name: str
    run: Callable[[int], Sequence[Seen]]
    submit: Callable[[str], Callable[[], None]]
    pid: int | None = None


def ways(bench: Bench, server: Server, stack: ExitStack) -> dict[str, list[Way]]:
    """By the scheduler, of those that the plan names and that are installed: without an agent, then through one."""
    kinds = {"local": _here, "slurm": _on_slurm, "flux": _on_flux}
    installed = {"local": True, "slurm": not missing_commands(), "flux": IS_THERE}
    wanted = [name for name in kinds if name in bench.plan.schedulers and installed[name]]
    return {name: list(kinds[name](bench, server, stack)) for name in wanted}


def versions() -> list[str]:
    missing = missing_commands()
    return [
        f"Flux is {flux_version()}" if IS_THERE else "Flux is not installed",
        *([f"Slurm is not installed: {', '.join(missing)}"] if missing else []),
    ]


def _here(bench: Bench, server: Server, stack: ExitStack) -> Iterator[Way]:
    yield Way(name=f"xargs -P{SLOTS}", run=_xargs, submit=_process)
    words = ["--executor", "local", "--slots", str(SLOTS)]
    yield _agent("agent on this machine", "jobs-here", words, dict(os.environ), bench, server, stack)


def _on_slurm(bench: Bench, server: Server, stack: ExitStack) -> Iterator[Way]:
    slurm = SlurmCluster(folder=bench.folder / "slurm-of-jobs")
    slurm.folder.mkdir()
    slurm.start()
    stack.callback(slurm.stop)
    yield Way(name="sbatch", run=_arrays(slurm), submit=_sbatch(slurm))
    words = ["--executor", "slurm", "--ahead", str(_ahead(bench))]
    yield _agent("agent on Slurm", "jobs-on-slurm", words, dict(slurm.environment), bench, server, stack)


def _on_flux(bench: Bench, server: Server, stack: ExitStack) -> Iterator[Way]:
    folder = bench.folder / "flux-of-jobs"
    folder.mkdir()
    flux = RealInstance(folder, nodes=BROKERS_OF_FLUX)
    stack.callback(flux.stop)
    flux.start()
    yield Way(name="flux submit", run=_flux_submit_many(flux), submit=_flux_submit(flux))
    words = ["--executor", "flux", "--ahead", str(_ahead(bench))]
    # With the way to Flux's bindings, where there is one.
    environment = {**os.environ, **flux.environment}
    yield _agent("agent on Flux", "jobs-on-flux", words, environment, bench, server, stack)


def _ahead(bench: Bench) -> int:
    return min(bench.plan.jobs or AHEAD, AHEAD)


def _agent(
    name: str,
    cluster_name: str,
    words: Sequence[str],
    environment: dict[str, str],
    bench: Bench,
    server: Server,
    stack: ExitStack,
) -> Way:
    cluster = register(server, cluster_name)
    pid = stack.enter_context(running_agent(cluster, words, folder=bench.folder, environment=environment))
    client = stack.enter_context(Client(cluster.address, cluster=cluster.name, token=cluster.token))
    return Way(name=name, run=_through(cluster), submit=_submit(client), pid=pid)


def _xargs(jobs: int) -> Sequence[Seen]:
    """It says nothing before the end of all."""
    numbers, began = "\n".join(map(str, range(jobs))).encode(), time.monotonic()
    subprocess.run(["xargs", f"-P{SLOTS}", "-n1", "true"], input=numbers, check=True, timeout=_PATIENCE_SECONDS)
    return [Seen(after_seconds=time.monotonic() - began, over=jobs)]


def _process(command: str) -> Callable[[], None]:
    process = subprocess.Popen(["/bin/sh", "-c", command])
    return lambda: _no_result(process.wait())


def _arrays(slurm: SlurmCluster) -> Callable[[int], Sequence[Seen]]:
    def run(jobs: int) -> Sequence[Seen]:
        began = time.monotonic()
        for first in range(0, jobs, TASKS):
            _of_sbatch(slurm, "true", f"--array=1-{min(TASKS, jobs - first)}")
        return _followed(lambda: jobs - slurm.run("squeue", "--noheader", "--array").count("\n"), jobs, began)

    return run


def _sbatch(slurm: SlurmCluster) -> Callable[[str], Callable[[], None]]:
    def submit(command: str) -> Callable[[], None]:
        _of_sbatch(slurm, command)
        return lambda: _until(lambda: not slurm.run("squeue", "--noheader"))

    return submit


def _of_sbatch(slurm: SlurmCluster, command: str, *options: str) -> None:
    words = ["--parsable", "--output=/dev/null", "--partition=debug", f"--wrap={command}", *options]
    if not slurm.run("sbatch", *words).strip().isdigit():
        raise RuntimeError("sbatch did not take it")


def _flux_submit_many(flux: RealInstance) -> Callable[[int], Sequence[Seen]]:
    """Flux is asked when each came to its end once all have: an answer costs as much as some jobs."""

    def run(jobs: int) -> Sequence[Seen]:
        began = time.time()
        words = ["--quiet", "--wait", "--output=/dev/null", "true"]
        flux.run("submit", f"--cc=1-{jobs}", *words, patience_seconds=_PATIENCE_SECONDS + jobs)
        told = flux.run("jobs", "-a", f"--count={jobs}", "-no", "{t_inactive}").split()
        ends = sorted(float(moment) - began for moment in told)
        if len(ends) < jobs:
            raise RuntimeError(f"flux knows the ends of {len(ends)} of {jobs} jobs")
        return [Seen(after_seconds=end, over=over) for over, end in enumerate(ends, start=1)]

    return run


def _flux_submit(flux: RealInstance) -> Callable[[str], Callable[[], None]]:
    def submit(command: str) -> Callable[[], None]:
        native_id = flux.run("submit", "--output=/dev/null", "sh", "-c", command).strip()
        return lambda: _no_result(flux.run("job", "wait-event", native_id, "clean"))

    return submit


def _through(cluster: Cluster) -> Callable[[int], Sequence[Seen]]:
    def run(jobs: int) -> Sequence[Seen]:
        before, began = cluster.count_completed(), time.monotonic()
        cluster.add_jobs(jobs, _TRUE)
        return _followed(lambda: cluster.count_completed() - before, jobs, began)

    return run


def _submit(client: Client) -> Callable[[str], Callable[[], None]]:
    def submit(command: str) -> Callable[[], None]:
        jobid = client.submit_job(JobSpec(command=command)).jobid
        return lambda: _until(lambda: client.get_jobs([jobid]).jobs[0].state is JobState.COMPLETED)

    return submit


def _no_result(_: object) -> None:
    return None


def _until(over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not over():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the job did not come to its end within {_PATIENCE_SECONDS} s")
        time.sleep(_AGAIN_SECONDS)


def _followed(count: Callable[[], int], jobs: int, began: float) -> Sequence[Seen]:
    """Gives up when nothing came to an end for long."""
    seen, changed_at = [Seen(after_seconds=0, over=0)], began
    while True:
        looked_at = time.monotonic()
        over, now = count(), time.monotonic()
        if over >= jobs:
            return [*seen, Seen(after_seconds=now - began, over=jobs)]
        if over > seen[-1].over:
            seen.append(Seen(after_seconds=now - began, over=over))
            changed_at = now
        if now - changed_at > _PATIENCE_SECONDS:
            raise RuntimeError(f"no job came to its end within {_PATIENCE_SECONDS} s")
        time.sleep(max(_AGAIN_SECONDS, _BETWEEN_LOOKS * (now - looked_at)))
