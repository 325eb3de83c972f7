"""integrations/snakemake: what it makes of Snakemake's jobs, and a real Snakemake with it, a real server and agent.

`make snakemake-check` runs the latter, with the Snakemake of .venv-snakemake.
"""

import os
import shutil
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow.client import Client
from tests.support.manual import terminal
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import ROOT, RainbowServer

FOLDER = ROOT / "integrations" / "snakemake"
SNAKEMAKE = ROOT / ".venv-snakemake" / "bin" / "snakemake"
needs_snakemake = pytest.mark.skipif(not SNAKEMAKE.exists(), reason="needs Snakemake: make snakemake-check")


def specs() -> Any:
    """The module of the plugin that needs no Snakemake."""
    found = spec_from_file_location("specs", FOLDER / "snakemake_executor_plugin_rainbow" / "specs.py")
    assert found and found.loader
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


def spec_of(threads: int = 1, leave_out: tuple[str, ...] = (), **resources: Any) -> Any:
    job = SimpleNamespace(name="sort", jobid=7, attempt=2, threads=threads, resources=resources, output=["a.txt"])
    return specs().spec_of(job, command="run", run="r", leave_out=leave_out)


def test_resources_become_what_a_job_asks_for() -> None:
    spec = spec_of(mem_mb=2000, runtime=90, nodes=2, tasks=8, gpu=1, gpu_model="a100", slurm_partition="debug")

    assert (spec.memory_mib_per_node, spec.time_limit_seconds, spec.nodes, spec.tasks) == (2000, 5400, 2, 8)
    assert (spec.gpus_per_task, spec.gpu_type, spec.partition) == (1, "a100", "debug")


@pytest.mark.parametrize(
    ("threads", "resources", "cores"), [(1, {}, 0), (4, {}, 4), (4, {"cpus_per_task": 8}, 8)]
)  # fmt: skip
def test_threads_are_cores_unless_the_workflow_says_cores(threads: int, resources: Any, cores: int) -> None:
    assert spec_of(threads, **resources).cores_per_task == cores


def test_needs_are_told_apart_by_commas() -> None:
    assert spec_of(rainbow_needs="arch=x86,gpu").needs == ("arch=x86", "gpu")


def test_what_the_cluster_cannot_give_is_left_out() -> None:
    spec = spec_of(4, ("mem_mb", "cpus_per_task"), mem_mb=2000)

    assert (spec.memory_mib_per_node, spec.cores_per_task) == (0, 0)


def test_each_attempt_has_a_key_of_its_own() -> None:
    assert spec_of().idempotency_key == "snakemake/r/7/2"


def test_a_job_has_one_mark_in_all_runs() -> None:
    assert spec_of().labels["snakemake-job"] == spec_of(4, mem_mb=1).labels["snakemake-job"]
    assert len(spec_of().labels["snakemake-job"]) == 32


def test_a_resource_that_is_no_number_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="resource mem_mb must be a whole number, not 'much'"):
        spec_of(mem_mb="much")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody with a workflow, in a folder, and a cluster whose agent runs."""

    folder: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with self.begun(*words) as workflow:
            told, complaints = workflow.communicate(timeout=4 * PATIENCE_SECONDS)
        return subprocess.CompletedProcess(workflow.args, workflow.returncode, told, complaints)

    @contextmanager
    def begun(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`local` sets no memory apart for jobs. It is killed where it has not ended."""
        options = ["--executor", "rainbow", "--jobs", "50", "--seconds-between-status-checks", "1"]
        with subprocess.Popen(
            [SNAKEMAKE, *options, "--rainbow-leave-out", "mem_mb", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as workflow:
            try:
                yield workflow
            finally:
                workflow.kill()

    def client(self) -> Client:
        known = tomllib.loads((self.folder / "config.toml").read_text())["clusters"]["keebler"]
        return Client(self.environment["RAINBOW_HOST"], cluster="keebler", token=known["token"])


@pytest.fixture
def reader(start_server: Callable[..., RainbowServer], tmp_path: Path) -> Iterator[Reader]:
    server = start_server(
        database_url=f"sqlite:///{tmp_path / 'rainbow.db'}", environment={"RAINBOW_REGISTRATION_SECRET": ""}
    )
    environment = {**terminal(tmp_path, server), "PYTHONPATH": f"{FOLDER}{os.pathsep}{ROOT}"}
    shutil.copy(FOLDER / "tests" / "Snakefile", tmp_path)
    subprocess.run(["rainbow", "register", "--save"], env=environment, check=True, timeout=PATIENCE_SECONDS)
    with (tmp_path / "agent.log").open("w") as log:
        words = ["rainbow", "agent", "--executor", "local", "--state-dir", str(tmp_path / "state")]
        agent = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    yield Reader(folder=tmp_path, environment=environment)
    agent.terminate()
    agent.wait(PATIENCE_SECONDS)


@needs_snakemake
def test_a_workflow_of_fifty_jobs_ends_although_one_fails_at_first(reader: Reader) -> None:
    done = reader.run("--retries", "1")

    assert done.returncode == 0, done.stderr
    assert (reader.folder / "table.txt").read_text().split() == [str(number) for number in range(49)]
    with reader.client() as client:
        jobs = list(client.list_jobs())
    assert Counter(job.state.value for job in jobs) == {"completed": 50, "failed": 1}
    assert sorted(job.state.value for job in jobs if job.labels["snakemake-rule"] == "flaky") == ["completed", "failed"]


@needs_snakemake
def test_a_workflow_that_was_killed_is_taken_up(reader: Reader) -> None:
    """No job is submitted twice: neither those that wait, nor those that run, nor those that are over."""
    samples = [f"samples/{number}.txt" for number in range(6)]
    with reader.client() as client, reader.begun(*samples):
        wait_until(
            lambda: len(list(client.list_jobs())) == 6 and any((reader.folder / name).exists() for name in samples),
            pause_seconds=0.5,
        )
        before = Counter(job.state.value for job in client.list_jobs())
    reader.run("--unlock")

    done = reader.run(*samples)

    assert done.returncode == 0, done.stderr
    assert "of an earlier run, and goes on" in done.stderr
    assert [(reader.folder / name).read_text() for name in samples] == [f"{number}\n" for number in range(6)]
    with reader.client() as client:
        assert [job.state.value for job in client.list_jobs()] == ["completed"] * 6, before


@needs_snakemake
def test_a_job_whose_files_are_begun_anew_is_over_first(reader: Reader) -> None:
    with reader.client() as client, reader.begun("slow.txt"):
        wait_until((reader.folder / "slow.txt").exists)
    reader.run("--unlock")
    assert "IncompleteFiles" in reader.run("slow.txt").stderr

    with reader.client() as client, reader.begun("--rerun-incomplete", "slow.txt") as workflow:
        wait_until(lambda: len(list(client.list_jobs())) == 2, pause_seconds=0.5)
        (reader.folder / "go").touch()
        _, told = workflow.communicate(timeout=PATIENCE_SECONDS)
        second, first = client.list_jobs()

    assert workflow.returncode == 0, told
    assert (reader.folder / "slow.txt").read_text() == "begun\ndone\n"
    assert (first.state.value, second.state.value) == ("cancelled", "completed")
    assert first.finished_at and second.started_at and first.finished_at <= second.started_at


@needs_snakemake
def test_a_job_that_failed_says_why(reader: Reader) -> None:
    done = reader.run("broken.txt")

    assert done.returncode != 0
    assert "is failed, exit code 1" in done.stderr
    # What the job wrote itself, beside the command that Snakemake prints.
    assert "the disk is on fire" in done.stderr.splitlines()
