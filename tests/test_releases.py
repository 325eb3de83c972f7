"""The code of earlier releases, as the tests of upgrades run it: what their tags have, to the last byte."""

import subprocess
import tarfile
from hashlib import sha1
from pathlib import Path

import pytest

from tests.support.releases import COMMITS, PATHS, RELEASES, archive_of, git
from tests.support.servers import ROOT


def without_history(version: str) -> bool:
    """As in a shallow clone, or where the code was unpacked from an archive."""
    try:
        git("cat-file", "-e", f"{COMMITS[version]}^{{commit}}")
    except (subprocess.CalledProcessError, FileNotFoundError):
        return True
    return False


def blob(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def packed(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as read:
        files = {member.name: read.extractfile(member) for member in read if member.isfile()}
        return {name: blob(file.read()) for name, file in files.items() if file}


@pytest.mark.parametrize("version", RELEASES)
def test_the_code_is_that_of_the_tag(version: str) -> None:
    if without_history(version):
        pytest.skip(f"this checkout's history does not reach back to {version}, {COMMITS[version]}")
    listed = git("ls-tree", "-r", COMMITS[version], *PATHS).decode()

    tree = {name: words.split()[2] for words, _, name in (line.partition("\t") for line in listed.splitlines())}
    assert packed(archive_of(version)) == tree


@pytest.mark.parametrize("version", RELEASES)
def test_the_tag_names_the_commit(version: str) -> None:
    if without_history(version) or not git("tag", "--list", f"v{version}"):
        pytest.skip(f"this checkout does not have the tag v{version}")

    assert git("rev-parse", f"v{version}^{{commit}}").decode().strip() == COMMITS[version]


@pytest.mark.parametrize("version", RELEASES)
def test_every_release_has_its_section_of_the_changelog(version: str) -> None:
    assert f"\n## [{version}] - 20" in (ROOT / "CHANGELOG.md").read_text()
