"""How each container runtime is asked to run a job, and what runs inside."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rainbow.errors import InvalidArgument
from rainbow.executors.containers import RUNTIMES, Containers, script_inside
from rainbow.executors.executor import Access, Ending, JobPhase, Site, WorkRefused
from rainbow.executors.flux import FluxExecutor
from rainbow.executors.flux_command import FluxCommand
from rainbow.executors.folders import folder_of
from rainbow.executors.slurm_script import script
from rainbow.executors.table import EXECUTORS, make_executor
from rainbow.specs import Work
from tests.support.executors import hand_over, wait_for
from tests.support.flux_instance import FakeInstance

SIF = "/apps/images/sim-1.2.sif"
REFERENCE = "registry.example.org/hpc/sim:1.2"
MOUNTS = ("/scratch/run:/data", "/apps/tables:/tables:ro")
ME = f"{os.geteuid()}:{os.getegid()}"
RUN = [
    "run",
    "--rm",
    "--interactive",
    "--init",
    "--pull=never",
    "--network=host",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    f"--user={ME}",
]
BOUND = [
    "--mount=type=bind,source=/scratch/run,target=/data",
    "--mount=type=bind,source=/apps/tables,target=/tables,readonly",
]


def work(image: str, **more: Any) -> Work:
    return Work(**{"command": "simulate", "image": image, **more})


def command(runtime: str, asked: Work, **more: Any) -> list[str]:
    return Containers(runtime=runtime, **more).command(asked)


def without_variables(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("--env=")]


def test_apptainer_runs_a_file() -> None:
    assert command("apptainer", work(SIF, mounts=MOUNTS, gpus_per_task=1)) == [
        "apptainer",
        "exec",
        "--contain",
        "--no-eval",
        "--bind=/scratch/run:/data",
        "--bind=/apps/tables:/tables:ro",
        "--nv",
        SIF,
        "/bin/sh",
        "-s",
    ]


def test_apptainer_fetches_a_reference() -> None:
    words = command("apptainer", work(REFERENCE), pull=True, options=("--rocm",))

    assert words == ["apptainer", "exec", "--contain", "--no-eval", "--rocm", f"docker://{REFERENCE}", "/bin/sh", "-s"]


@pytest.mark.parametrize(("user", "mapped"), [(0, []), (1000, ["--userns=keep-id"])])
def test_podman_runs_as_the_agents_user(user: int, mapped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getegid", lambda: user)

    words = command("podman", work(REFERENCE, mounts=MOUNTS, gpus_per_task=1), options=("--shm-size=1g",))

    assert without_variables(words) == [
        "podman",
        *RUN[:-1],
        f"--user={user}:{user}",
        *BOUND,
        "--cgroups=disabled",
        *mapped,
        "--device=nvidia.com/gpu=all",
        "--shm-size=1g",
        "--entrypoint=/bin/sh",
        REFERENCE,
        "-s",
    ]
    assert {"--env=SLURM_*", "--env=FLUX_*", "--env=CUDA_VISIBLE_DEVICES"} < set(words)


def test_docker_runs_as_the_agents_user() -> None:
    words = command("docker", work(REFERENCE, mounts=MOUNTS, gpus_per_task=1), options=("--shm-size=1g",))

    end = ["--gpus=all", "--shm-size=1g", "--entrypoint=/bin/sh", REFERENCE, "-s"]
    assert without_variables(words) == ["docker", *RUN, *BOUND, *end]
    assert {"--env=SLURM_JOB_ID", "--env=FLUX_JOB_ID", "--env=CUDA_VISIBLE_DEVICES"} < set(words)


@pytest.mark.parametrize("runtime", ["podman", "docker"])
def test_images_are_fetched_only_where_the_site_says_so(runtime: str) -> None:
    assert "--pull=never" in command(runtime, work(REFERENCE))
    assert "--pull=missing" in command(runtime, work(REFERENCE), pull=True)


@pytest.mark.parametrize(
    ("image", "written"),
    [
        ("/apps/images/sim.sqsh", "/apps/images/sim.sqsh"),
        ("debian:12", "debian:12"),
        ("hpc/sim", "hpc/sim"),
        (REFERENCE, "registry.example.org#hpc/sim:1.2"),
        ("localhost/sim", "localhost#sim"),
        ("registry:5000/sim", "registry:5000#sim"),
    ],
)
def test_pyxis_runs_files_and_what_enroot_calls_a_reference(image: str, written: str) -> None:
    asked = work(image, mounts=MOUNTS, gpus_per_task=1)

    assert command("pyxis", asked, options=("--container-writable",)) == [
        "srun",
        "--export=ALL",
        f"--container-image={written}",
        "--container-mounts=/scratch/run:/data,/apps/tables:/tables:ro",
        "--no-container-mount-home",
        "--no-container-entrypoint",
        "--container-writable",
        "/bin/sh",
        "-s",
    ]


@pytest.mark.parametrize(
    ("containers", "asked", "words"),
    [
        (Containers(), work(REFERENCE), "image: this cluster runs no containers"),
        (Containers(runtime="podman"), work(SIF), "image: this cluster runs images by reference, such as"),
        (Containers(runtime="docker", pull=True), work(SIF), "image: this cluster runs images by reference, such as"),
        (Containers(runtime="apptainer"), work(REFERENCE), "image: this cluster runs images that are files there"),
        (Containers(runtime="pyxis"), work(REFERENCE), "image: this cluster runs images that are files there"),
        (Containers(runtime="apptainer"), work(SIF, mounts=("/a b:/c",)), "mounts: must not contain white space"),
        (Containers(runtime="podman"), work(REFERENCE, mounts=('/a"b:/c',)), "mounts: must not contain white space"),
        (Containers(runtime="pyxis"), work(SIF, mounts=("/a\\b:/c",)), "mounts: must not contain white space"),
    ],
)
def test_what_the_site_cannot_run_is_refused_by_every_executor(
    containers: Containers, asked: Work, words: str, tmp_path: Path
) -> None:
    for kind in EXECUTORS.values():
        executor = kind.make(Site(folder=tmp_path, environment={"PATH": str(tmp_path)}, containers=containers))
        assert executor.never(asked).startswith(words)
        with pytest.raises(WorkRefused, match=words):
            executor.submit(asked, "rainbow-1-1")


@pytest.mark.parametrize(
    ("runtime", "asked"),
    [
        ("apptainer", work(SIF, mounts=MOUNTS)),
        ("podman", work(REFERENCE, mounts=MOUNTS)),
        ("docker", work(REFERENCE)),
        ("pyxis", work(SIF)),
        ("", Work(command="hostname")),
    ],
)
def test_what_the_site_can_run_is_not_refused(runtime: str, asked: Work) -> None:
    assert Containers(runtime=runtime).never(asked) == ""


@pytest.mark.parametrize(
    ("executor", "containers", "words"),
    [
        ("local", Containers(runtime="pyxis"), "pyxis works with slurm, not with local"),
        ("flux", Containers(runtime="pyxis"), "pyxis works with slurm, not with flux"),
        ("slurm", Containers(pull=True), "is needed by the other options for containers"),
        ("slurm", Containers(options=("--nv",)), "is needed by the other options for containers"),
    ],
)
def test_a_runtime_that_cannot_work_is_refused_at_the_start(
    executor: str, containers: Containers, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=f"container_runtime: {words}"):
        make_executor(executor, Site(folder=tmp_path, environment={}, containers=containers))


def test_variables_and_directory_are_set_inside() -> None:
    asked = work(REFERENCE, environment={"GREETING": "it's\nme", "PATH": "/opt/bin"}, working_directory="/data/it's")

    assert script_inside(asked) == (
        "export GREETING='it'\"'\"'s\nme'\nexport PATH=/opt/bin\n"
        "cd '/data/it'\"'\"'s' || exit 1\n"
        "exec /bin/sh -c simulate < /dev/null\n"
    )


FAKE_RUNTIME = """#!/bin/sh
# Runs the container's shell without a container, and notes what it was started with.
printf '%s\\n' "$(basename "$0")" "$@" > "$HOME/words"
env > "$HOME/seen"
exec /bin/sh -s
"""


def put_fake_runtime(program: Path) -> None:
    program.write_text(FAKE_RUNTIME)
    program.chmod(0o700)


@pytest.mark.parametrize("runtime", [name for name, runtime in RUNTIMES.items() if "local" in runtime.executors])
def test_a_job_sees_its_variables_and_the_runtime_does_not(runtime: str, tmp_path: Path) -> None:
    put_fake_runtime(tmp_path / runtime)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "RAINBOW_SECRET": "the agent's own"}
    site = Site(folder=tmp_path / "agent's état", environment=environment, containers=Containers(runtime=runtime))
    local = EXECUTORS["local"].make(site)
    asked = {
        "PATH": "/nowhere:/usr/bin:/bin",
        "APPTAINER_BIND": "/etc",
        "DOCKER_HOST": "tcp://evil",
        "A": "it's\n$HOME",
    }

    image = SIF if RUNTIMES[runtime].takes_files else REFERENCE
    ticket = hand_over(
        local, "rainbow-1-1", 'printf "%s|" "$A" "$PATH" "$PWD"; cat; exit 7', image=image, environment=asked,
        working_directory="/tmp",
    )  # fmt: skip
    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert local.output(ticket) == f"{asked['A']}|{asked['PATH']}|/tmp|"
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 7)
    outside = (tmp_path / "seen").read_text()
    assert not [name for name in ("APPTAINER", "DOCKER", "RAINBOW", "/nowhere") if name in outside]
    assert (tmp_path / "words").read_text().splitlines() == site.containers.command(work(image))


def test_flux_starts_a_container_for_each_task(tmp_path: Path) -> None:
    instance = FakeInstance(tmp_path / "fake")
    put_fake_runtime(tmp_path / "apptainer")
    environment = {**instance.environment, "HOME": str(tmp_path)}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    site = Site(folder=tmp_path / "agent's état", environment=environment, containers=Containers(runtime="apptainer"))
    flux = FluxExecutor(site, FluxCommand(site), access=Access(description="by the command"))

    ticket = hand_over(
        flux, "rainbow-1-1", 'echo "task $FLUX_TASK_RANK $A"', image=SIF, nodes=2, environment={"A": "it's"}
    )
    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 0)
    assert sorted(flux.output(ticket).splitlines()) == ["task 0 it's", "task 1 it's"]
    assert (tmp_path / "words").read_text().splitlines() == site.containers.command(work(SIF))


def test_this_machine_must_have_the_runtime(tmp_path: Path) -> None:
    site = Site(folder=tmp_path, environment={"PATH": str(tmp_path)}, containers=Containers(runtime="podman"))

    with pytest.raises(InvalidArgument, match="container_runtime: podman is not on the PATH"):
        make_executor("local", site)
    put_fake_runtime(tmp_path / "podman")
    make_executor("local", site)


@pytest.mark.parametrize(
    ("runtime", "size", "launcher"),
    [
        ("podman", {"tasks": 1}, ""),
        ("podman", {"nodes": 2, "cores_per_task": 4}, "exec srun --export=ALL /bin/sh -c "),
        ("apptainer", {"tasks": 2}, "exec srun --export=ALL /bin/sh -c "),
        ("pyxis", {"tasks": 2}, ""),
    ],
)
def test_slurm_starts_a_container_for_each_task(
    runtime: str, size: dict[str, int], launcher: str, tmp_path: Path
) -> None:
    site = Site(folder=tmp_path, environment={"HOME": "/home/sim"}, containers=Containers(runtime=runtime))
    asked = work(SIF if runtime != "podman" else REFERENCE, environment={"SECRET": "mine"}, **size)

    lines = script(asked, folder_of(tmp_path, "rainbow-1-1"), site).splitlines()

    (line,) = [line.strip() for line in lines if "exec /bin/sh -c" in line]
    words = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s' {line.removeprefix('exec /bin/sh -c ')}"], capture_output=True, text=True
    ).stdout
    assert words.startswith(launcher or f"exec {Containers(runtime=runtime).command(asked)[0]} ")
    assert words.count("srun") == (1 if launcher or runtime == "pyxis" else 0)
    assert f"< {tmp_path}/jobs/rainbow-1-1/inside" in words
    assert "  cd /home/sim || exit 1" in lines
    assert "mine" not in "".join(lines)
