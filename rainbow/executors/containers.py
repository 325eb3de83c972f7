"""Jobs that name an image: what of them runs outside of the container, and what inside.

A site chooses one runtime for all. The runtime is started without the variables that a job was submitted with: some of
them, such as PATH, APPTAINER_BIND and DOCKER_HOST, would change which program it is and what it mounts. They are set
inside, by a script that the runtime hands to the container's shell as its standard input. So neither they nor the
command are words that a process list shows.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rainbow.errors import InvalidArgument
from rainbow.executors.container_commands import apptainer, docker, podman, pyxis
from rainbow.executors.container_mounts import has_unsafe_characters
from rainbow.executors.folders import INSIDE, JobFolder
from rainbow.specs import Work

NONE = "this cluster runs no containers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """`takes_files`, `takes_references`: what an image may be. `fetches_references`: it never has them before.

    `executors`: those that it works with. `launches`: it starts all tasks of a job, so nothing else has to.
    """

    command: Callable[..., list[str]]
    takes_files: bool
    takes_references: bool = True
    fetches_references: bool = False
    executors: tuple[str, ...] = ("slurm", "flux", "local")
    launches: bool = False


RUNTIMES: Mapping[str, Runtime] = {
    "apptainer": Runtime(command=apptainer, takes_files=True, fetches_references=True),
    "podman": Runtime(command=podman, takes_files=False),
    "docker": Runtime(command=docker, takes_files=False),
    "pyxis": Runtime(command=pyxis, takes_files=True, fetches_references=True, executors=("slurm",), launches=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """How a site runs containers. `runtime` is one of RUNTIMES, or empty where it runs none.

    `options` go with each start. `pull`: images that are not there are fetched; otherwise they are refused, by the
    executor or by the runtime.
    """

    runtime: str = ""
    options: tuple[str, ...] = ()
    pull: bool = False

    def check(self, executor: str) -> None:
        """Raises InvalidArgument for what the executor cannot do, and for what would be ignored."""
        if not self.runtime and (self.options or self.pull):
            raise InvalidArgument("is needed by the other options for containers", field="container_runtime")
        if self.runtime and executor not in RUNTIMES[self.runtime].executors:
            takers = ", ".join(RUNTIMES[self.runtime].executors)
            raise InvalidArgument(f"{self.runtime} works with {takers}, not with {executor}", field="container_runtime")

    def never(self, work: Work) -> str:
        """Why a job's image can never run here; empty where it can, or where it names none."""
        if not work.image:
            return ""
        if not self.runtime:
            return f"image: {NONE}"
        return self._image_refused(work.image) or _mounts_refused(work.mounts)

    def command(self, work: Work) -> list[str]:
        """What runs the shell of the container, which reads its script from standard input."""
        return RUNTIMES[self.runtime].command(work, options=self.options, pull=self.pull)

    @property
    def launches(self) -> bool:
        return bool(self.runtime) and RUNTIMES[self.runtime].launches

    def _image_refused(self, image: str) -> str:
        runtime, is_file = RUNTIMES[self.runtime], image.startswith("/")
        if is_file and not runtime.takes_files:
            return f"image: this cluster runs images by reference, such as docker.io/library/debian:12, not {image}"
        if not is_file and runtime.fetches_references and not self.pull:
            return f"image: this cluster runs images that are files there, by their absolute path, not {image}"
        return ""


def _mounts_refused(mounts: tuple[str, ...]) -> str:
    if any(has_unsafe_characters(mount) for mount in mounts):
        return "mounts: must not contain white space, quotes and backslashes"
    return ""


def script_inside(work: Work) -> str:
    """What the container's shell reads. The command does not read the rest of it."""
    variables = {**work.environment, **work.secret_values}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    change = f"cd {shlex.quote(work.working_directory)} || exit 1\n" if work.working_directory else ""
    return f"{exports}{change}exec /bin/sh -c {shlex.quote(work.command)} < /dev/null\n"


def line_outside(work: Work, folder: JobFolder, containers: Containers) -> str:
    """The line of a shell that becomes the container. Its script is on disk by then: see `write_inside`."""
    return f"exec {shlex.join(containers.command(work))} < {shlex.quote(str(folder.path / INSIDE))}"


def write_inside(work: Work, folder: JobFolder) -> None:
    if work.image:
        folder.job.keep(INSIDE, script_inside(work).encode())
