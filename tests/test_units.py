"""The systemd units of deploy/: read by systemd's own checker, which Debian's package systemd has.

No service manager runs here. What the server's unit forbids by prctl(2) alone is tried with a real server.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, ROOT, RainbowServer

DEPLOY = ROOT / "deploy"
SERVICES = sorted(DEPLOY.glob("*.service"))
UNITS = [*SERVICES, *sorted(DEPLOY.glob("*.timer"))]
EXEC = re.compile(r"^Exec(Start|StartPost)=.*", re.MULTILINE)
# systemd's own words: 0 is the least exposed, 10 the most.
MOST_EXPOSED = {
    "rainbow-server.service": 1.5,
    "rainbow-prune.service": 1.5,
    "rainbow-backup.service": 1.5,
    "rainbow-agent.service": 4.0,
}
# PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN and PR_SET_NO_NEW_PRIVS (prctl(2)); then the command.
DENYING = (
    "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); "
    "sys.exit('no MDWE') if libc.prctl(65, 1, 0, 0, 0) or libc.prctl(38, 1, 0, 0, 0) else None; "
    "os.execv(sys.argv[1], sys.argv[1:])"
)

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze, of systemd")


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS)


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault_with_a_unit(unit: Path, tmp_path: Path) -> None:
    """Its program is not installed here: another stands for it."""
    for other in UNITS:
        (tmp_path / other.name).write_text(EXEC.sub(r"Exec\1=/bin/true", other.read_text()))

    done = analyze("verify", tmp_path / unit.name)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_no_fault_with_the_drop_in_for_jobs_of_persons(tmp_path: Path) -> None:
    name = "rainbow-agent.service"
    (tmp_path / name).write_text(EXEC.sub(r"Exec\1=/bin/true", (DEPLOY / name).read_text()))
    drop_in = (DEPLOY / "rainbow-agent-persons.conf").read_text().replace("\\\n", "")
    (tmp_path / f"{name}.d").mkdir()
    (tmp_path / f"{name}.d" / "persons.conf").write_text(
        re.sub(r"^ExecStart=/.*", "ExecStart=/bin/true", drop_in, flags=re.M)
    )

    done = analyze("verify", tmp_path / name)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_a_fault_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "wrong.service").write_text("[Service]\nExecStart=/bin/true\nProtectSystm=strict\n")

    assert "ProtectSystm" in analyze("verify", tmp_path / "wrong.service").stderr


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_service_is_exposed_as_little_as_the_manual_says(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", unit)

    level = float(re.findall(rf"exposure level for {unit.name}: ([\d.]+)", done.stdout)[0])
    assert level <= MOST_EXPOSED[unit.name]
    assert f"`{unit.name}` {level}" in (ROOT / "docs" / "operations.md").read_text()


def test_the_services_of_a_server_are_confined_alike() -> None:
    confined = {
        (DEPLOY / f"rainbow-{name}.service")
        .read_text()
        .partition("# What it does not need.\n")[2]
        .partition("[Install]")[0]
        .strip()
        for name in ("server", "prune", "backup")
    }

    assert len(confined) == 1


def test_a_server_runs_where_memory_cannot_become_code(
    start_server: Callable[..., RainbowServer],
) -> None:
    probe = subprocess.run([sys.executable, "-c", DENYING, "/bin/true"], timeout=PATIENCE_SECONDS, check=False)
    if probe.returncode:
        pytest.skip("the kernel has no PR_SET_MDWE, which Linux has from 6.3 on")

    server = start_server(with_web=True, manage=(sys.executable, "-c", DENYING, *MANAGE))

    assert server.stop() == 0
