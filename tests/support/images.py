"""Images built and run by the Podman and Buildah of Debian, without a registry: needs root.

What stands in for the official image of Python is a Debian with its own Python, which mmdebstrap makes.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import wait_until
from tests.support.servers import ROOT

NEEDED = ("buildah", "podman", "mmdebstrap", "runc", "iptables", "make")
BASE = "localhost/python:3.11-slim-bookworm"
BASE_PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
SMALL = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
BUILDS_MAY_TAKE_SECONDS = 1800
# A container that has no more rights than it needs.
CONFINED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges")
# Packages are fetched by what this machine trusts, which may be more than images do. Not the whole folder: packages
# write into it.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
BUILD_OPTIONS = f"--isolation chroot --pull-never --layers --volume {AUTHORITIES}:{AUTHORITIES}:ro"
# Limits that can be had without CAP_SYS_RESOURCE; runc, which unlike crun works with mixed control groups.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=4096:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""


def missing_programs() -> list[str]:
    missing = [name for name in NEEDED if not shutil.which(name, path=_path())]
    if not Path("/usr/lib/podman/netavark").exists():
        missing.append("netavark")
    return missing or ([] if os.geteuid() == 0 else ["the rights of root"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Podman and Buildah with images, containers and networks of their own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        places = {name: str(self.folder / f"{name}.conf") for name in ("containers", "storage")}
        return {
            **os.environ,
            "PATH": _path(),
            "CONTAINERS_CONF": places["containers"],
            "CONTAINERS_STORAGE_CONF": places["storage"],
        }

    def run(self, *words: str | Path, seconds: float = BUILDS_MAY_TAKE_SECONDS) -> str:
        """What the command prints. Raises RuntimeError with all that it said if it fails."""
        done = self.tried(*words, seconds=seconds)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def tried(self, *words: str | Path, seconds: float = BUILDS_MAY_TAKE_SECONDS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )

    def make_base(self) -> None:
        archive = self.folder / "base.tar"
        leave_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in SMALL]
        self.run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={BASE_PACKAGES}", *leave_out,
                 "--aptopt=Acquire::Languages \"none\"", "bookworm", archive)  # fmt: skip
        self.run("podman", "import", "--change", 'CMD ["python3"]', archive, BASE)
        archive.unlink()

    def make_images(self) -> None:
        self.run("make", "images", "IMAGE_BUILDER=buildah", f"BASE={BASE}", f"IMAGE_OPTIONS={BUILD_OPTIONS}")

    def start(self, image: str, *words: str, name: str, options: Sequence[str] = ()) -> None:
        self.run("podman", "run", "--detach", "--name", name, *CONFINED, *options, image, *words)

    def is_healthy(self, name: str) -> bool:
        return self.tried("podman", "healthcheck", "run", name).returncode == 0

    def wait_until_healthy(self, name: str) -> None:
        wait_until(lambda: self.is_healthy(name), pause_seconds=0.2)

    def log_of(self, name: str) -> str:
        done = self.tried("podman", "logs", name)
        return done.stdout + done.stderr

    def inspected(self, what: str, form: str) -> str:
        return self.run("podman", "inspect", "--format", form, what).strip()

    def remove(self) -> None:
        self.tried("podman", "rm", "--all", "--force", "--volumes")
        self.tried("podman", "network", "prune", "--force")


@contextmanager
def engine() -> Iterator[Engine]:
    # Not in pytest's folders: paths of containers' sockets have to be short.
    folder = Path(tempfile.mkdtemp(prefix="rainbow-images-", dir="/var/tmp"))
    made = Engine(folder=folder)
    for name, content in (("containers", CONTAINERS_CONF), ("storage", STORAGE_CONF)):
        (folder / f"{name}.conf").write_text(content.format(folder=folder))
    try:
        yield made
    finally:
        made.remove()
        shutil.rmtree(folder, ignore_errors=True)


def variables(values: Mapping[str, str]) -> list[str]:
    """Options of `podman run` that give a container these variables."""
    return [word for name, value in values.items() for word in ("--env", f"{name}={value}")]


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
