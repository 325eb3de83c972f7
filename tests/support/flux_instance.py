"""Flux instances: a real one on this machine, and the fake one."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.patience import PATIENCE_SECONDS

FAKE = Path(__file__).with_name("fake_flux.py")
LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LOCAL, SOCKETS = "local://", "local:///tmp/flux-"
IS_THERE = bool(shutil.which("flux"))


def make_fake(folder: Path) -> None:
    """A command `flux`. Many tests call it dozens of times: without a site's packages it starts in half of the time."""
    command = folder / "flux"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(FAKE))} "$@"\n')
    command.chmod(0o755)


class FakeInstance:
    """The fake; files in its folder put it in trouble."""

    def __init__(self, folder: Path) -> None:
        self.uri = str(folder / "instance")
        (folder / "instance").mkdir(parents=True)
        (folder / "bin").mkdir()
        make_fake(folder / "bin")
        self.environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FLUX_URI": self.uri}

    def disable(self, reason: str) -> None:
        self._tell("disabled", reason)

    def stop_scheduling(self, reason: str) -> None:
        self._tell("stopped", reason)

    def lose_job_list(self) -> None:
        self._tell("no-job-list", "yes")

    def lose_broker(self) -> None:
        self._tell("down", "yes")

    def hold(self, count: int) -> list[str]:
        """Submit so many jobs that are not to start; returns their ids."""
        job = {"state": "SCHED", "priority": 0, "urgency": 0, "name": "true", "ntasks": 1, "exception": {}}
        for number in range(count):
            name = f"\u01922{LETTERS[number // 40]}{LETTERS[number % 40]}"
            (Path(self.uri) / f"{name}.json").write_text(json.dumps({**job, "id": number, "jobid": name}))
        return [path.stem.replace("\u0192", "f") for path in Path(self.uri).glob("*.json")]

    def recover(self) -> None:
        for name in ("disabled", "stopped", "no-job-list", "down"):
            (Path(self.uri) / name).unlink(missing_ok=True)

    def _tell(self, name: str, reason: str) -> None:
        (Path(self.uri) / name).write_text(reason)


class RealInstance:
    def __init__(self, folder: Path, *, nodes: int) -> None:
        self.nodes = nodes
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = ""

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ["PATH"], "FLUX_URI": self.uri}

    def start(self) -> None:
        told = self._folder / "uri"
        script = f'echo "$FLUX_URI" > "{told}.new" && mv "{told}.new" "{told}" && exec sleep 3600'
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["flux", "start", f"--test-size={self.nodes}", "sh", "-c", script],
                env={name: value for name, value in os.environ.items() if not name.startswith("FLUX_")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_for(told.exists, f"a Flux instance; see {self._folder}/log")
        self.uri = told.read_text().strip()
        up = ("queue", "list", "-no", "{resources.up.nnodes}")
        _wait_for(lambda: self.run(*up).strip() == str(self.nodes), f"{self.nodes} nodes of Flux")

    def stop(self) -> None:
        """Leave nothing behind, whatever a test did to it."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGCONT)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self.uri.startswith(SOCKETS):
                # Killed brokers leave it.
                shutil.rmtree(Path(self.uri.removeprefix(LOCAL)).parent, ignore_errors=True)

    def run(self, *words: str, patience_seconds: float = PATIENCE_SECONDS) -> str:
        done = subprocess.run(
            ["flux", *words], env=dict(self.environment), capture_output=True, text=True, timeout=patience_seconds
        )
        return done.stdout

    def broker(self, rank: int) -> int:
        return int(self.run("exec", f"--rank={rank}", "flux", "getattr", "broker.pid"))

    def disable(self, reason: str) -> None:
        self.run("queue", "disable", "-m", reason)

    def stop_scheduling(self, reason: str) -> None:
        self.run("queue", "stop", "-m", reason)

    def lose_job_list(self) -> None:
        self.run("module", "remove", "job-list")

    def hold(self, count: int) -> list[str]:
        """Submit so many jobs that are not to start; returns their ids."""
        return self.run("submit", f"--cc=1-{count}", "--urgency=hold", "true").replace("\u0192", "f").split()

    def recover(self) -> None:
        self.run("module", "load", "job-list")
        self.run("queue", "enable")
        self.run("queue", "start")
        self.run("cancel", "--all", "--quiet")


def flux_version() -> str:
    told = subprocess.run(["flux", "version"], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    return told.stdout.splitlines()[0].split()[-1]


def _wait_for(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {PATIENCE_SECONDS} s for {what}")
        time.sleep(0.05)
