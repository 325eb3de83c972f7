"""rainbow doctor: what it finds, and what it says to do."""

import json
import os
import platform
import pwd
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.identity import identity_in
from rainbow.agent.state_folder import lock_folder
from rainbow.doctor import server as server_checks
from rainbow.doctor.checks import CHECKS
from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.local import LocalExecutor
from rainbow.facts import Facts
from rainbow.system import disk_space
from tests.support.commandline import Run, answer
from tests.support.flux_instance import FakeInstance
from tests.support.ports import free_port
from tests.support.servers import RainbowServer
from tests.support.wire import Remote


def examined(run: Run, *words: str) -> dict[str, dict[str, Any]]:
    """What each check found, by its name."""
    result = run("doctor", "--json", *words)
    assert result.exit_code in (0, 5), result.output
    checks = json.loads(result.stdout)["checks"]
    assert result.exit_code == (5 if any(check["verdict"] == "failed" for check in checks) else 0)
    return {check["check"]: check for check in checks}


def test_where_all_is_well_every_check_is_ok(rainbow: Run, tmp_path: Path) -> None:
    found = examined(rainbow, "--executor", "local", "--state-dir", str(tmp_path / "state"))

    assert list(found) == [check.name for check in CHECKS]
    assert {check["verdict"] for check in found.values()} == {"ok"}
    assert not any(check["advice"] for check in found.values() if check["check"] != "user")


def test_people_get_a_table(rainbow: Run, tmp_path: Path) -> None:
    result = rainbow("doctor", "--state-dir", str(tmp_path))

    lines = result.stdout.splitlines()
    assert lines[0].split() == ["CHECK", "RESULT", "WHAT"]
    assert [line.split()[0] for line in lines[1 : 1 + len(CHECKS)]] == [check.name.split()[0] for check in CHECKS]
    assert "not asked; --executor says which" in lines[len(CHECKS) - 1]


def test_a_host_without_an_address_is_said_to_have_none(rainbow: Run, tmp_path: Path) -> None:
    found = examined(rainbow, "--host", "no-such-host.invalid:50051", "--state-dir", str(tmp_path))

    assert found["name resolution"]["verdict"] == "failed"
    assert "DNS" in found["name resolution"]["advice"]
    assert [found[name]["verdict"] for name in ("connection", "encryption", "server", "secret")] == ["left out"] * 4
    assert found["state folder"]["verdict"] == "ok"


def test_a_port_where_nobody_listens_is_told(rainbow: Run, tmp_path: Path) -> None:
    found = examined(rainbow, "--host", f"127.0.0.1:{free_port()}", "--state-dir", str(tmp_path))

    assert found["connection"]["verdict"] == "failed"
    assert "refused" in found["connection"]["detail"]
    assert "firewall" in found["connection"]["advice"]


def test_tls_with_a_server_that_speaks_none_is_told(rainbow: Run, tmp_path: Path) -> None:
    found = examined(rainbow, "--tls", "--state-dir", str(tmp_path))

    assert found["encryption"]["verdict"] == "failed"
    assert found["encryption"]["detail"].endswith(" does not answer in TLS")
    assert "--no-tls" in found["encryption"]["advice"]
    assert found["server"]["verdict"] == "left out"


def test_certificates_that_cannot_be_used_are_told(rainbow: Run, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")

    bad = examined(rainbow, "--ca-file", str(tmp_path / "ca.pem"), "--state-dir", str(tmp_path))["encryption"]
    missing = examined(rainbow, "--ca-file", "/none", "--state-dir", str(tmp_path))["encryption"]

    assert bad["detail"] == f"cannot use {tmp_path}/ca.pem: it holds no certificates in PEM"
    assert missing["detail"] == "cannot use /none: no such file or directory"


@pytest.mark.parametrize(("secret", "words"), [("wrong", "request denied"), ("", "no secret is known")])
def test_a_secret_that_is_no_good_is_told(
    rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str, words: str
) -> None:
    monkeypatch.setenv("RAINBOW_SECRET", secret)

    found = examined(rainbow, "--state-dir", str(tmp_path))

    assert found["secret"]["verdict"] == "failed"
    assert words in found["secret"]["detail"]
    assert found["cluster"]["verdict"] == "left out"
    assert found["version"]["verdict"] == "ok"


def test_a_token_is_no_secret(rainbow: Run, remote: Remote, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{remote.token}\n")

    found = examined(rainbow, "--request-secret-file", str(file), "--state-dir", str(tmp_path))

    assert found["secret"]["verdict"] == "failed"
    assert "and not its token" in found["secret"]["advice"]


def test_a_clock_that_is_off_is_told(rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz or UTC) - timedelta(minutes=3)

    monkeypatch.setattr(server_checks, "datetime", Slow)

    found = examined(rainbow, "--state-dir", str(tmp_path))

    assert found["clock"]["verdict"] == "failed"
    said = re.fullmatch(r"this machine's clock is (\d+\.\d) seconds behind the server's", found["clock"]["detail"])
    # A server that takes long to answer may have said its time at any moment of that.
    assert said and 120 < float(said[1]) < 240


def test_a_folder_that_cannot_be_made_is_told(rainbow: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = examined(rainbow, "--state-dir", str(tmp_path / "file" / "state"))

    assert found["state folder"]["verdict"] == "failed"
    assert "--state-dir" in found["state folder"]["advice"]


def test_a_scheduler_that_is_not_there_is_told(rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    found = examined(rainbow, "--executor", "slurm", "--state-dir", str(tmp_path))

    assert found["scheduler"]["verdict"] == "failed"
    assert "sinfo cannot be started: it is not on the PATH" in found["scheduler"]["detail"]


def test_what_a_scheduler_complains_of_is_one_line_without_its_name_twice(
    rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho 'sinfo: error: no config' >&2\necho 'sinfo: error: no controller' >&2\nexit 1\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    found = examined(rainbow, "--executor", "slurm", "--state-dir", str(tmp_path))["scheduler"]

    assert found["detail"] == "sinfo: no config no controller"
    assert found["advice"].endswith("try by hand: sinfo.")


def test_the_facts_that_an_agent_would_tell_are_named(
    rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["--executor", "local", "--state-dir", str(tmp_path)]
    found = examined(rainbow, *words)["facts"]

    def fail(_: LocalExecutor) -> Facts:
        raise SchedulerSilent("it hangs")

    monkeypatch.setattr(LocalExecutor, "facts", fail)
    untold = examined(rainbow, *words)["facts"]

    assert (found["verdict"], found["detail"]) == (
        "ok",
        f"partitions: local; scheduler local, arch {platform.machine()}",
    )
    assert (untold["verdict"], untold["detail"]) == ("ok", "not told: it hangs")


@pytest.mark.parametrize("words", [(), ("--scheduler-option", "--queue=debug")])
def test_flux_by_its_command_is_well_and_the_bindings_would_be_better(
    rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    commands = FakeInstance(tmp_path)
    for name, value in commands.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "flux", None)

    found = examined(rainbow, "--executor", "flux", "--state-dir", str(tmp_path), *words)["scheduler"]

    if words:
        assert (found["verdict"], found["detail"]) == ("failed", "Flux has no queue debug")
    else:
        assert found["verdict"] == "ok"
        assert found["detail"].startswith("it answers: 2 nodes and 4 slots are free now; reached by the flux command")
        assert "import of flux halted" in found["detail"]
        assert "ten times faster" in found["advice"]


def test_a_state_folder_that_does_not_exist_is_not_made(rainbow: Run, tmp_path: Path) -> None:
    found = examined(rainbow, "--state-dir", str(tmp_path / "a" / "b"))

    assert found["state folder"]["verdict"] == "ok"
    assert found["state folder"]["detail"] == f"{tmp_path}/a/b does not exist yet; an agent can make it in {tmp_path}"
    assert not (tmp_path / "a").exists()


def test_nothing_is_changed_by_looking(rainbow: Run, tmp_path: Path) -> None:
    before = answer(rainbow("summary", "--json"))

    examined(rainbow, "--state-dir", str(tmp_path))

    assert answer(rainbow("summary", "--json")) == before


def test_the_server_of_the_tests_is_a_rainbow_server(rainbow: Run, server: RainbowServer, tmp_path: Path) -> None:
    found = examined(rainbow, "--state-dir", str(tmp_path))

    assert found["connection"]["detail"].endswith(f"port {server.address.rpartition(':')[2]} answers")
    assert found["server"]["detail"].startswith("a rainbow server, in ")


def test_a_state_folder_that_is_a_copy_is_told(rainbow: Run, tmp_path: Path) -> None:
    identity_in(tmp_path / "state", "login1")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")

    found = examined(rainbow, "--state-dir", str(tmp_path / "copy"))["state folder"]

    assert found["verdict"] == "failed"
    assert "is a copy of another one" in found["detail"]
    assert examined(rainbow, "--state-dir", str(tmp_path / "state"))["state folder"]["verdict"] == "ok"


def test_a_state_folder_that_an_agent_uses_is_told(rainbow: Run, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    held = lock_folder(folder)

    in_use = examined(rainbow, "--state-dir", str(folder))["state folder"]
    os.close(held)
    free = examined(rainbow, "--state-dir", str(folder))["state folder"]

    assert in_use["detail"] == f"{folder} can be written; an agent uses it now, and a second one would be refused"
    assert free["detail"] == f"{folder} can be written and locked"


def test_a_state_folder_on_a_full_disk_is_told(rainbow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk_space, "RESERVE_BYTES", 2**60)

    found = examined(rainbow, "--state-dir", str(tmp_path))["state folder"]

    assert found["verdict"] == "failed"
    assert found["detail"].startswith("disk full: ")


def test_who_jobs_run_as_is_told(rainbow: Run, tmp_path: Path) -> None:
    found = examined(rainbow, "--state-dir", str(tmp_path))["user"]

    assert found["detail"].startswith(f"jobs run as {pwd.getpwuid(os.geteuid()).pw_name}")
    assert ("anything on this machine" in found["advice"]) == (os.geteuid() == 0)
