"""A real Podman with one small image, for the tests of one run: needs root, runc, catatonit and busybox."""

import io
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS

NEEDED = ("podman", "runc", "catatonit", "busybox")
IMAGE = "localhost/rainbow-tests:1"
# The limits of a machine without CAP_SYS_RESOURCE, where Podman cannot raise them.
CONFIGURATION = """\
[containers]
default_ulimits = ["nofile=1024:20000", "nproc=1024:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{folder}/graph"
runroot = "{folder}/run"
"""
# Of the agent's environment, jobs get none of the variables that Podman is told its places by.
PROGRAM = """\
#!/bin/sh
export CONTAINERS_CONF={folder}/containers.conf CONTAINERS_STORAGE_CONF={folder}/storage.conf
exec {podman} "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Podman:
    """`folder/bin` has a `podman` that keeps its images and containers in the folder."""

    folder: Path

    @property
    def path(self) -> str:
        return f"{self.folder / 'bin'}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

    def make(self) -> None:
        (self.folder / "containers.conf").write_text(CONFIGURATION)
        (self.folder / "storage.conf").write_text(STORAGE.format(folder=self.folder))
        program = self.folder / "bin" / "podman"
        program.parent.mkdir()
        program.write_text(PROGRAM.format(folder=self.folder, podman=shutil.which("podman")))
        program.chmod(0o755)
        self.run("import", "-", IMAGE, given=_small_system())

    def run(self, *words: str, given: bytes = b"") -> str:
        done = subprocess.run(
            [self.folder / "bin" / "podman", *words], input=given, capture_output=True, timeout=PATIENCE_SECONDS
        )
        if done.returncode:
            raise RuntimeError(f"podman {words[0]}: {done.stderr.decode()}")
        return done.stdout.decode()

    def remove(self) -> None:
        self.run("rm", "--all", "--force")


def missing_programs() -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=path)]
    return missing or ([] if os.geteuid() == 0 else ["the rights of root"])


def _small_system() -> bytes:
    """A file system of busybox alone, which is one program of many names."""
    content = io.BytesIO()
    names = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(str(shutil.which("busybox")), "bin/busybox", filter=_as_program)
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
    return content.getvalue()


def _as_program(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode = 0o755
    return entry
