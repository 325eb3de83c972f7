"""A checkout of its own that is about to be released, and deploy/release.sh in it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

from tests.support.servers import ROOT

VERSION = "9.9.9"
# Building takes seconds, and minutes on a busy machine.
PATIENCE_SECONDS = 600
NOT_SOURCES = ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "rainbow.db*", "rainbow.key")
# No git configuration of the machine counts; the commit has one time.
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-11-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-11-01T00:00:00Z",
}


def release_checkout(folder: Path) -> Path:
    """A copy of this checkout in which the next release, 9.9.9, is committed."""
    copytree(ROOT, folder, ignore=NOT_SOURCES)
    copy(ROOT / ".gitignore", folder)
    (folder / "rainbow" / "__init__.py").write_text(f'__version__ = "{VERSION}"\n')
    changes = folder / "CHANGELOG.md"
    released = f"## [Unreleased]\n\n## [{VERSION}] - 2026-11-01\n"
    changes.write_text(changes.read_text().replace("## [Unreleased]\n", released, 1))
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def released(checkout: Path, *builder: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder with the files of the release, the bill of materials of which is made up."""
    (checkout / "build").mkdir(exist_ok=True)
    (checkout / "build" / "sbom.json").write_text("{}")
    made = release(checkout, "build", *builder, environment=environment)
    assert made.returncode == 0, made.stdout + made.stderr
    return checkout / "build" / "release"


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Release")


def git(folder: Path, *words: str) -> str:
    return subprocess.check_output(
        ["git", *words], cwd=folder, env={**os.environ, **GIT}, text=True, timeout=PATIENCE_SECONDS
    )


def release(folder: Path, *words: str, environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [folder / "deploy" / "release.sh", *words],
        env={**environment, **GIT, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
