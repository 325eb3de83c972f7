"""Whether an agent can see the runners of its jobs."""

from pathlib import Path

import pytest

from rainbow.executors import local
from rainbow.executors.executor import Site
from rainbow.executors.local import HIDDEN, LocalExecutor
from rainbow.system.hidden_processes import are_hidden, hides

USER, GROUPS = 1000, (1000, 27)
OTHERS = "sysfs /sys sysfs rw 0 0\ntmpfs /proc/acpi tmpfs rw,hidepid=2 0 0\n"


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        ("rw,nosuid", False),
        ("rw,hidepid=0", False),
        ("rw,hidepid=off", False),
        ("rw,hidepid=1", True),
        ("rw,hidepid=2", True),
        ("rw,hidepid=noaccess", True),
        ("rw,hidepid=invisible", True),
        ("rw,gid=27,hidepid=2", False),
        ("rw,gid=28,hidepid=2", True),
        ("rw,gid=27,hidepid=4", True),
        ("rw,gid=27,hidepid=ptraceable", True),
    ],
)
def test_what_proc_is_mounted_with_decides(options: str, hidden: bool) -> None:
    mounts = f"{OTHERS}proc /proc proc {options} 0 0\n"

    assert hides(mounts, user=USER, groups=GROUPS) is hidden
    assert not hides(mounts, user=0, groups=())


def test_what_is_mounted_last_is_seen() -> None:
    mounts = "proc /proc proc rw 0 0\nproc /proc proc rw,hidepid=2 0 0\n"

    assert hides(mounts, user=USER, groups=GROUPS)
    assert not hides("", user=USER, groups=GROUPS)


def test_this_machine_is_looked_at() -> None:
    assert are_hidden() != Path("/proc/1/cmdline").exists()


def test_an_agent_that_sees_no_runners_takes_no_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(folder=tmp_path, environment={}, slots=4)
    assert LocalExecutor(site).capacity().not_ready == ""

    monkeypatch.setattr(local, "are_hidden", lambda: True)

    assert LocalExecutor(site).capacity().not_ready == HIDDEN
