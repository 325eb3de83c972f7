"""Servers, agents and command lines of earlier releases, from tests/data/releases, which needs no history.

    python -m tests.support.releases 0.1.0

writes the file of a release from its tag. Their code runs with the packages of this environment.
"""

import lzma
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer, environment_for, start_rainbow

# By version, the oldest first: the commit that the tag names.
COMMITS = {"0.1.0": "964511e822cee82194e407d8d887b8acb0b1dd83"}
RELEASES = tuple(COMMITS)
# What servers and agents run; neither tests nor documents.
PATHS = ("manage.py", "clusters", "grpc_api", "jobs", "rainbow", "rainbow_site", "templates")


def archive_of(version: str) -> Path:
    return ROOT / "tests" / "data" / "releases" / f"rainbow-{version}.tar.xz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The code of an earlier release, in a folder of its own."""

    version: str
    folder: Path

    @property
    def manage(self) -> tuple[str, str]:
        return sys.executable, str(self.folder / "manage.py")

    def migrate(self, database_url: str) -> None:
        command = [*self.manage, "migrate", "--verbosity=0"]
        subprocess.run(command, env=environment_for(database_url), check=True, timeout=PATIENCE_SECONDS)

    def start_server(self, *, database_url: str, log: Path, **options: Any) -> RainbowServer:
        return start_rainbow(database_url=database_url, log=log, manage=self.manage, **options)

    def rainbow(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs this release's command line, with RAINBOW_* `settings`."""
        return run_rainbow(*words, python_path=self.folder, **settings)


def run_rainbow(*words: str, python_path: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
    command = [sys.executable, "-c", "from rainbow.cli import main; main(prog_name='rainbow')", *words]
    environment = {**inherited, "PYTHONPATH": str(python_path), **settings}
    return subprocess.run(
        command, env=environment, cwd=python_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


def unpacked(version: str, folder: Path) -> Release:
    with tarfile.open(archive_of(version)) as archive:
        archive.extractall(folder, filter="data")
    return Release(version=version, folder=folder)


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_SECONDS).stdout


def record(versions: Sequence[str]) -> None:
    for version in versions:
        packed = git("archive", "--format=tar", COMMITS[version], *PATHS)
        archive_of(version).write_bytes(lzma.compress(packed, preset=9))


if __name__ == "__main__":
    record(sys.argv[1:] or RELEASES)
