"""The commands of the container runtimes, each of which runs a shell in the container.

Options and their meanings are from:

- apptainer: https://apptainer.org/docs/user/latest/cli/apptainer_exec.html, with 1.1 or later (`--no-eval`)
- podman: https://docs.podman.io/en/v4.3/markdown/podman-run.1.html; GPUs by
  https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
- docker: https://docs.docker.com/reference/cli/docker/container/run/, with 20.10 or later (`--pull`)
- pyxis: https://github.com/NVIDIA/pyxis/wiki/Usage; how enroot writes a reference is in
  https://github.com/NVIDIA/enroot/blob/master/doc/cmd/import.md
"""

import os
from collections.abc import Sequence

from rainbow.executors.container_mounts import mount_of
from rainbow.specs import Work

SHELL = ("/bin/sh", "-s")
# Which GPUs and cores are the job's. A program that ignores them sees all GPUs that the container has.
DEVICES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
)
# Docker knows no patterns.
FROM_SLURM = tuple(
    f"SLURM_{name}"
    for name in (
        "JOB_ID",
        "JOB_NAME",
        "JOB_NODELIST",
        "JOB_NUM_NODES",
        "JOB_PARTITION",
        "JOB_ACCOUNT",
        "NTASKS",
        "PROCID",
        "LOCALID",
        "NODEID",
        "CPUS_PER_TASK",
        "GPUS_PER_TASK",
        "MEM_PER_NODE",
    )
)
FROM_FLUX = ("FLUX_JOB_ID", "FLUX_JOB_NNODES", "FLUX_JOB_SIZE", "FLUX_TASK_RANK", "FLUX_TASK_LOCAL_ID")


def apptainer(work: Work, *, options: Sequence[str], pull: bool) -> list[str]:
    """Without the home directory and /tmp of the machine. It passes variables on, but has a PATH of its own."""
    mounts = [f"--bind={mount}" for mount in work.mounts]
    gpus = ["--nv"] if work.gpus_per_task else []
    image = work.image if work.image.startswith("/") else f"docker://{work.image}"
    return ["apptainer", "exec", "--contain", "--no-eval", *mounts, *gpus, *options, image, *SHELL]


def podman(work: Work, *, options: Sequence[str], pull: bool) -> list[str]:
    """In the scheduler's control group, whose limits then hold, and as the agent's user."""
    own = ["--cgroups=disabled", *(["--userns=keep-id"] if os.geteuid() else [])]
    gpus = ["--device=nvidia.com/gpu=all"] if work.gpus_per_task else []
    names = ("SLURM_*", "FLUX_*", "PMI*", *DEVICES)
    return ["podman", *_run(work, pull=pull), *own, *_passed(names), *gpus, *options, *_shell(work)]


def docker(work: Work, *, options: Sequence[str], pull: bool) -> list[str]:
    gpus = ["--gpus=all"] if work.gpus_per_task else []
    names = (*FROM_SLURM, *FROM_FLUX, *DEVICES)
    return ["docker", *_run(work, pull=pull), *_passed(names), *gpus, *options, *_shell(work)]


def pyxis(work: Work, *, options: Sequence[str], pull: bool) -> list[str]:
    """A plugin of `srun`, which starts a container for each task. Enroot passes GPUs and variables on."""
    mounts = [f"--container-mounts={','.join(work.mounts)}"] if work.mounts else []
    kept = ["--no-container-mount-home", "--no-container-entrypoint"]
    image = f"--container-image={_as_enroot_writes(work.image)}"
    return ["srun", "--export=ALL", image, *mounts, *kept, *options, *SHELL]


def _run(work: Work, *, pull: bool) -> list[str]:
    """What Podman and Docker have in common. An init passes signals on; a shell as first process ignores them.

    No program of the image, whatever its owner and mode, gets more rights than the agent's user has.
    """
    return [
        "run",
        "--rm",
        "--interactive",
        "--init",
        f"--pull={'missing' if pull else 'never'}",
        "--network=host",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        f"--user={os.geteuid()}:{os.getegid()}",
        *(_bind(mount) for mount in work.mounts),
    ]


def _bind(text: str) -> str:
    """Unlike with --volume, a source that is missing is not made."""
    mount = mount_of(text)
    return f"--mount=type=bind,source={mount.source},target={mount.target}{',readonly' if mount.read_only else ''}"


def _passed(names: Sequence[str]) -> list[str]:
    return [f"--env={name}" for name in names]


def _shell(work: Work) -> list[str]:
    shell, *words = SHELL
    return [f"--entrypoint={shell}", work.image, *words]


def _as_enroot_writes(image: str) -> str:
    """REGISTRY#IMAGE. By Docker's rule, the first part is a registry if it looks like a host."""
    first, slash, rest = image.partition("/")
    is_registry = bool(first and slash) and (first == "localhost" or "." in first or ":" in first)
    return f"{first}#{rest}" if is_registry else image
