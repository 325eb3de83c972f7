"""deploy/compose.yaml, from nothing to a job that has ended: `make compose-check` runs it.

Without a registry, Debian's PostgreSQL and HAProxy stand in for the official images of both (deploy/stand-ins).
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import BASE, BUILD_OPTIONS, BUILDS_MAY_TAKE_SECONDS, Engine, engine, missing_programs
from tests.support.ports import free_port
from tests.support.servers import ROOT

PODMAN_COMPOSE = shutil.which("podman-compose", path=str(Path(sys.executable).parent))

pytestmark = [
    pytest.mark.skipif(bool(missing_programs()), reason=f"no images can be built: {missing_programs()}"),
    pytest.mark.timeout(3 * BUILDS_MAY_TAKE_SECONDS),
]


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    with engine() as made:
        made.make_base()
        made.make_images()
        for target in ("database", "proxy"):
            options = ["--build-arg", f"BASE={BASE}", "--target", target, "--tag", f"localhost/stand-in-{target}"]
            made.run("buildah", "build", *BUILD_OPTIONS.split(), *options, "deploy/stand-ins")
        yield made


def test_one_command_leads_from_nothing_to_a_job_that_has_ended(podman: Engine) -> None:
    settings = {
        "COMPOSE": str(PODMAN_COMPOSE),
        "RAINBOW_DATABASE_IMAGE": "localhost/stand-in-database",
        "RAINBOW_PROXY_IMAGE": "localhost/stand-in-proxy",
        "RAINBOW_PULL": "never",
        "RAINBOW_PORT": str(free_port()),
        "PATIENCE_SECONDS": "900",
    }
    shown = subprocess.run(
        [ROOT / "deploy" / "compose-demo.sh"],
        env={**podman.environment, **settings},
        capture_output=True,
        text=True,
        timeout=BUILDS_MAY_TAKE_SECONDS,
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Job 1: completed" in shown.stdout + shown.stderr
    assert 'rainbow_jobs{cluster="keebler",state="completed"} 1.0' in shown.stdout
    assert podman.run("podman", "ps", "--all", "--quiet") == ""
    assert podman.run("podman", "volume", "ls", "--quiet") == ""
