"""What a release is: the client's package, built from its own sources and installed where nothing is, and the rest."""

import json
import re
import subprocess
import sys
import tarfile
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from tests.support.release_checkout import PATIENCE_SECONDS, VERSION, release_checkout, released
from tests.support.servers import ROOT

pytestmark = pytest.mark.timeout(2 * PATIENCE_SECONDS)


def python(program: str | Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(release_checkout(tmp_path_factory.mktemp("checkout") / "rainbow"))


@pytest.fixture(scope="module")
def sources(built: Path) -> Path:
    return built / f"rainbow-{VERSION}.tar.gz"


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
        said = message_from_bytes(wheel.read(f"rainbow-{VERSION}.dist-info/METADATA"))

    assert (said["Version"], said["License-Expression"]) == (VERSION, "MIT")
    assert said["Description-Content-Type"] == "text/markdown"
    assert str(said.get_payload()).strip().startswith("# rainbow")
    assert said["Keywords"]
    assert said.get_all("Classifier")
    assert {name.partition("/")[0] for name in names} == {"rainbow", f"rainbow-{VERSION}.dist-info"}


def test_a_release_is_whole_and_its_checksums_are_right(built: Path) -> None:
    files = {path.name for path in built.iterdir()}

    assert files == {
        "SHA256SUMS",
        f"CHANGES-{VERSION}.md",
        f"rainbow-{VERSION}-py3-none-any.whl",
        f"rainbow-{VERSION}.cdx.json",
        f"rainbow-{VERSION}.tar.gz",
        f"rainbow-server-{VERSION}.tar.gz",
    }
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=built, check=True, timeout=PATIENCE_SECONDS)
    assert len((built / "SHA256SUMS").read_text().splitlines()) == len(files) - 1


def test_a_commit_is_built_twice_to_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = released(release_checkout(tmp_path / "elsewhere"))

    assert (again / "SHA256SUMS").read_text() == (built / "SHA256SUMS").read_text()


def test_the_wheel_works_by_itself(built: Path, tmp_path: Path) -> None:
    """With the packages that it names, of this environment."""
    wheel = built / f"rainbow-{VERSION}-py3-none-any.whl"
    installed = python(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", tmp_path, wheel
    )
    assert installed.returncode == 0, installed.stderr

    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from rainbow.cli import main; main()"
    told = python(sys.executable, "-I", "-c", code, "version", "--client")
    assert told.stdout == f"rainbow {VERSION}\n"


def test_the_server_starts_from_its_archive(built: Path, tmp_path: Path) -> None:
    with tarfile.open(built / f"rainbow-server-{VERSION}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")

    told = python(sys.executable, tmp_path / f"rainbow-server-{VERSION}" / "manage.py", "grpcserver", "--help")
    assert (told.returncode, "Serves rainbow over gRPC" in told.stdout) == (0, True)


def test_the_sources_install_where_nothing_is(sources: Path, index: None, tmp_path: Path) -> None:
    """With a build backend and dependencies of pip's choice, as `pip install` has it on a login node."""
    assert python(sys.executable, "-m", "venv", tmp_path / "fresh").returncode == 0
    programs = tmp_path / "fresh" / "bin"
    installed = python(programs / "python", "-m", "pip", "install", "--quiet", sources)
    assert installed.returncode == 0, installed.stderr

    assert python(programs / "rainbow", "--version").stdout.split()[-1] == VERSION
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
