"""What is installed is what the locks name, by hash: they are whole, and as fresh as what they are made from."""

import re
import subprocess
import tomllib
from importlib import metadata
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.servers import ROOT

KINDS = ("client", "otel", "h2corn", "dev", "stubs", "kubernetes", "site", "snakemake", "airflow")
NAMES = ("requirements", *(f"requirements-{kind}" for kind in KINDS))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+)", re.MULTILINE)
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Locked(NamedTuple):
    version: str
    hashes: int
    named_by: set[str]


def pins(name: str) -> dict[str, str]:
    """The versions that a file of requirements says by itself."""
    return {canonicalize_name(found): version for found, version in PINNED.findall((ROOT / f"{name}.txt").read_text())}


def lock(name: str) -> dict[str, Locked]:
    text = (ROOT / f"{name}.lock").read_text()
    return {
        canonicalize_name(found): Locked(
            version=version,
            hashes=len(SHA256.findall(entry)),
            named_by=set(re.findall(r"# +(?:via )?-r (\S+)\.txt", entry)),
        )
        for entry in re.split(r"\n(?=[a-z0-9])", text)
        for found, version in PINNED.findall(entry)
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_is_fresh(name: str) -> None:
    named = {package: found.version for package, found in lock(name).items() if name in found.named_by}

    assert named == pins(name), "run `make lock`"


def test_the_lock_for_development_holds_that_of_the_server() -> None:
    server, development = lock("requirements"), lock("requirements-dev")
    both = server.keys() & development.keys()

    assert both >= pins("requirements").keys()
    assert {name: server[name].version for name in both} == {name: development[name].version for name in both}


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_names_packages_by_hash_and_no_place_to_get_them(name: str) -> None:
    text = (ROOT / f"{name}.lock").read_text()

    assert all(found.hashes for found in lock(name).values())
    # A package may stand there twice, for newer Pythons and for older ones.
    assert len(PINNED.findall(text)) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    assert not re.search(r"^-|://| @ ", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements", "requirements-otel", "requirements-h2corn", "requirements-dev"])
def test_a_lock_holds_all_that_its_packages_need(name: str) -> None:
    """As far as they are installed here; nothing else would come along, since pip follows no dependencies."""
    locked = lock(name)
    versions = {canonicalize_name(one.name): one.version for one in metadata.distributions()}
    installed = [package for package in locked if versions.get(package) == locked[package].version]
    needed = [Requirement(line) for package in installed for line in metadata.requires(package) or ()]
    here = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]

    assert len(here) > len(pins(name))
    assert [str(one) for one in here if canonicalize_name(one.name) not in locked] == []
    assert [str(one) for one in here if not one.specifier.contains(locked[canonicalize_name(one.name)].version)] == []


def test_the_lock_of_the_server_serves_the_client() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = lock("requirements")

    for one in map(Requirement, [*project["project"]["dependencies"], *project["build-system"]["requires"]]):
        assert one.specifier.contains(locked[canonicalize_name(one.name)].version), one


def test_make_installs_by_hash_and_builds_nothing_of_others() -> None:
    targets = [
        ".venv/development",
        ".venv-stubs/installed",
        ".venv-kubernetes/installed",
        ".venv-site/installed",
        ".venv-snakemake/installed",
        ".venv-airflow/installed",
        "sbom",
    ]
    recipe = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--always-make", *targets],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installs = [line.split() for line in recipe.splitlines() if "install" in line.split()]
    own = [words for words in installs if "--editable" in words]

    assert len(installs) == 10
    assert len(own) == 1
    assert {"--no-deps", "--no-index", "--no-build-isolation"} <= set(own[0])
    # It has no wheel; what builds it is locked as well.
    built = [words[words.index("--no-binary") + 1] for words in installs if "--no-binary" in words]
    assert built == ["connection-pool"]
    for words in installs:
        assert words in own or {"--no-deps", "--require-hashes", "--only-binary"} <= set(words)
        assert words in own or words[-1].endswith(".lock")
