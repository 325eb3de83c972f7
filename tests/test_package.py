"""The client's package: built from a checkout, built again from its own sources, and installed where nothing is."""

import json
import re
import subprocess
import sys
import tarfile
from email import message_from_bytes
from pathlib import Path
from shutil import copytree, ignore_patterns
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

import rainbow
from tests.support.servers import ROOT

# Building and installing take seconds, and minutes on a busy machine.
PATIENCE_SECONDS = 600
pytestmark = pytest.mark.timeout(2 * PATIENCE_SECONDS)
NOT_SOURCES = ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "rainbow.db*", "rainbow.key")


def python(program: str | Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution, and with the wheel that was built from it."""
    checkout, built = tmp_path_factory.mktemp("checkout") / "rainbow", tmp_path_factory.mktemp("built")
    copytree(ROOT, checkout, ignore=NOT_SOURCES)
    made = python(sys.executable, "-m", "build", "--no-isolation", "--outdir", built, checkout)
    assert made.returncode == 0, made.stdout + made.stderr
    return built


@pytest.fixture(scope="module")
def sources(built: Path) -> Path:
    return next(built.glob("rainbow-*.tar.gz"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A package index that answers; a test that needs one is skipped without it, and says so."""
    fetched = python(
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path_factory.mktemp("fetched"),
        "platformdirs",
    )  # fmt: skip
    if fetched.returncode:
        pytest.skip(f"no package index is reached: {fetched.stderr.strip().splitlines()[-1]}")


def test_the_sources_hold_what_the_package_is_made_from(sources: Path) -> None:
    with tarfile.open(sources) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "rainbow").rglob("*.py*") if path.suffix != ".pyc"}

    assert held >= code
    assert held >= {"pyproject.toml", "README.md", "LICENSE", "SECURITY.md", "CHANGELOG.md", "docs/cli.md"}
    assert held >= {"grpc_api/rainbow.proto", "requirements-stubs.lock", "deploy/rainbow-agent.service"}
    assert not [name for name in held if name.startswith(("tests/", "rainbow_site/", "jobs/", "clusters/"))]


def test_the_package_says_what_it_is(built: Path) -> None:
    with ZipFile(next(built.glob("rainbow-*.whl"))) as wheel:
        names = wheel.namelist()
        said = message_from_bytes(wheel.read(f"rainbow-{rainbow.__version__}.dist-info/METADATA"))

    assert (said["Version"], said["License-Expression"]) == (rainbow.__version__, "MIT")
    assert said["Description-Content-Type"] == "text/markdown"
    assert str(said.get_payload()).strip().startswith("# rainbow")
    assert said["Keywords"]
    assert said.get_all("Classifier")
    assert {name.partition("/")[0] for name in names} == {"rainbow", f"rainbow-{rainbow.__version__}.dist-info"}


def test_the_sources_install_where_nothing_is(sources: Path, index: None, tmp_path: Path) -> None:
    """With a build backend and dependencies of pip's choice, as `pip install` has it on a login node."""
    assert python(sys.executable, "-m", "venv", tmp_path / "fresh").returncode == 0
    programs = tmp_path / "fresh" / "bin"
    installed = python(programs / "python", "-m", "pip", "install", "--quiet", sources)
    assert installed.returncode == 0, installed.stderr

    assert python(programs / "rainbow", "--version").stdout.split()[-1] == rainbow.__version__
    assert python(programs / "rainbow", "submit", "--help").returncode == 0
    assert python(programs / "python", "-c", "import django").returncode == 1


def test_the_bill_of_materials_names_what_the_server_runs_on(index: None) -> None:
    made = subprocess.run(
        ["make", "--old-file=.venv/development", f"BIN={Path(sys.executable).parent}", "sbom"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert made.returncode == 0, made.stderr

    bill = json.loads((ROOT / "build" / "sbom.json").read_text())
    lines = re.findall(r"^([^\s#][^\\\n]*)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked = [one for one in map(Requirement, lines) if one.marker is None or one.marker.evaluate()]
    assert bill["bomFormat"] == "CycloneDX"
    assert {component["purl"] for component in bill["components"]} == {
        f"pkg:pypi/{one.name}@{one.specifier}".replace("==", "") for one in locked
    }
