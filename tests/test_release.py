"""`deploy/release.sh`: what is not released. tests/test_package.py has what is."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.release_checkout import VERSION, commit, git, release, release_checkout


@pytest.fixture(scope="module")
def _checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_checkout(tmp_path_factory.mktemp("release") / "rainbow")


@pytest.fixture
def checkout(_checkout: Path) -> Path:
    """As it was, whatever the test before did."""
    first = git(_checkout, "rev-list", "--max-parents=0", "HEAD").strip()
    git(_checkout, "reset", "--quiet", "--hard", first)
    git(_checkout, "clean", "--quiet", "--force", "-d")
    return _checkout


def replaced(path: Path, pattern: str, by: str) -> None:
    path.write_text(re.sub(pattern, by, path.read_text(), count=1))


def test_a_release_that_is_ready_is_let_through(checkout: Path) -> None:
    assert release(checkout, "check").returncode == 0


def test_a_change_that_is_not_committed_is_not_released(checkout: Path) -> None:
    (checkout / "jobs" / "forgotten.py").touch()

    told = release(checkout, "check")

    assert told.returncode == 1
    assert told.stderr == "not released: there are changes that are not committed:\n?? jobs/forgotten.py\n"


def next_version(checkout: Path) -> None:
    replaced(checkout / "rainbow" / "__init__.py", "9.9.9", "9.9.10")


def unfinished_version(checkout: Path) -> None:
    replaced(checkout / "rainbow" / "__init__.py", "9.9.9", "10.0.0.dev0")


def change_that_is_in_no_release(checkout: Path) -> None:
    replaced(checkout / "CHANGELOG.md", "## .Unreleased.", "## [Unreleased]\n\n- Something.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (next_version, "CHANGELOG.md has no line '## [9.9.10] - YEAR-MONTH-DAY'"),
        (unfinished_version, "rainbow/__init__.py says 10.0.0.dev0; a release is MAJOR.MINOR.PATCH"),
        (change_that_is_in_no_release, "CHANGELOG.md has entries under [Unreleased]; they belong under [9.9.9]"),
    ],
)
def test_a_version_that_the_changelog_does_not_have_is_not_released(
    checkout: Path, change: Callable[[Path], None], reason: str
) -> None:
    change(checkout)
    commit(checkout)

    told = release(checkout, "build")

    assert (told.returncode, told.stderr) == (1, f"not released: {reason}\n")
    assert not (checkout / "build").exists()


def test_a_version_is_released_once(checkout: Path) -> None:
    tagged = git(checkout, "rev-parse", "HEAD").strip()
    git(checkout, "tag", f"v{VERSION}")
    assert release(checkout, "check").returncode == 0

    replaced(checkout / "README.md", "# rainbow", "# Rainbow")
    commit(checkout)

    told = release(checkout, "check")
    assert told.stderr == f"not released: the tag v{VERSION} names another commit, {tagged}\n"
