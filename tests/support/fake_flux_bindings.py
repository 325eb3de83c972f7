"""Flux's Python bindings, as far as the executor uses them, in front of the fake `flux` command.

They have the shape of those of flux-core 0.88 and raise what those raised.
"""

import argparse
import errno
import functools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from tests.support.flux_instance import LETTERS

FAKE = Path(__file__).with_name("fake_flux.py")
MOST_COMPARISONS = 1_000_000
ERRNOS = {"[Errno 22] ": errno.EINVAL, "[Errno 1] ": errno.EPERM}


class FakeBindings:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self.job = SimpleNamespace(
            JobID=JobID,
            JobList=self._job_list,
            job_list_id=self._job_list_id,
            cancel_async=self._cancel_async,
            kill_async=self._kill_async,
        )
        self.constants = SimpleNamespace(FLUX_RPC_STREAMING=4)
        self.queue = SimpleNamespace(QueueList=self._queue_list)
        self.cli = SimpleNamespace(submit=SimpleNamespace(SubmitCmd=self._submit_command))

    def Flux(self, uri: str) -> Any:
        if not Path(uri).is_dir() or (Path(uri) / "down").exists():
            raise OSError(errno.ENOENT, f"Unable to connect to Flux: broker socket {uri} was not found")
        return SimpleNamespace(rpc=self._rpc, attr_get={"version": "0.88.0"}.__getitem__)

    def _ask(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-IS", str(FAKE), *words],
            env=self._environment | dict(environment or {}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode and done.stderr:
            raise _as_raised(done.stderr.strip().splitlines()[-1])
        return done.stdout

    def _rpc(self, topic: str, payload: Mapping[str, Any] | None = None, *, flags: int = 0) -> Any:
        if topic == "job-manager.events-journal":
            return SimpleNamespace(get=_refuse_guests)
        if topic == "resource.sched-status":
            return SimpleNamespace(get=lambda: {"all": json.loads(self._ask("resource", "R"))})
        if topic == "config.get":
            return SimpleNamespace(get=lambda: json.loads(self._ask("config", "get")))
        if topic == "job-manager.urgency":
            assert payload, "which job, and how urgent it is"
            assert payload["urgency"] == 0
            return SimpleNamespace(get=lambda: self._ask("job", "urgency", _f58(payload["id"]), "hold"))
        assert (topic, payload) == ("job-manager.queue-status", {})
        disabled, stopped = self._ask("queue", "status").splitlines()
        told = {
            "enable": disabled.endswith("enabled"),
            "disable_reason": disabled.partition(": ")[2],
            "start": stopped.endswith("started"),
            "stop_reason": stopped.partition(": ")[2],
        }
        return SimpleNamespace(get=lambda: told)

    def _queue_list(self, handle: Any) -> Iterator[Any]:
        form = (
            "{queuem}|{enabled}|{started}|{resources.up.nnodes}|{resources.down.nnodes}"
            "|{resources.free.nnodes}|{resources.free.ncores}"
        )
        for line in self._ask("queue", "list", "-no", form).splitlines():
            name, enabled, started, up, down, free, cores = line.split("|")
            resources = SimpleNamespace(
                up=SimpleNamespace(nnodes=int(up)),
                down=SimpleNamespace(nnodes=int(down)),
                free=SimpleNamespace(nnodes=int(free), ncores=int(cores)),
            )
            yield SimpleNamespace(
                name=name,
                is_default=True,
                enabled=enabled == "\u2714",
                started=started == "\u2714",
                resources=resources,
            )

    def _job_list_id(self, handle: Any, native_id: str) -> Any:
        def job_info() -> Any:
            text = self._ask("jobs", "--count=0", "--json", native_id)
            return SimpleNamespace(to_dict=lambda: json.loads(text))

        return SimpleNamespace(get_jobinfo=job_info)

    def _job_list(
        self, handle: Any, *, constraint: Mapping[str, Any] | None, filters: list[str], since: float, max_entries: int
    ) -> Any:
        count = "--count=0" if max_entries == 0 else "--count=1000"
        found = json.loads(self._ask("jobs", "-a", "--json", count, f"--since=-{time.time() - since:.0f}s"))["jobs"]
        if constraint and len(found) * len(constraint["name"]) > MOST_COMPARISONS:
            raise OSError(errno.EINVAL, "Excessive comparisons made, limit search via states or since")
        chosen = [job for job in found if not constraint or job["name"] in constraint["name"]]
        return SimpleNamespace(jobs=lambda: [SimpleNamespace(to_dict=lambda job=job: job) for job in chosen])

    def _kill_async(self, handle: Any, native_id: str, *, signum: int) -> Any:
        name = f"--signal={signal.Signals(signum).name}"
        return SimpleNamespace(get=lambda: self._ask("job", "kill", name, native_id))

    def _cancel_async(self, handle: Any, native_id: str) -> Any:
        return SimpleNamespace(get=lambda: self._ask("cancel", native_id))

    def _submit_command(self, prog: str) -> Any:
        parser = argparse.ArgumentParser(prog=prog, add_help=False, allow_abbrev=False)
        for option in (
            "job-name",
            "nodes",
            "ntasks",
            "cwd",
            "output",
            "error",
            "setopt",
            "time-limit",
            "queue",
            "urgency",
        ):
            parser.add_argument(f"--{option}")
        parser.add_argument("--env", action="append")
        parser.add_argument("command", nargs=argparse.REMAINDER)
        return SimpleNamespace(
            get_parser=lambda: parser, jobspec_create=lambda arguments: SimpleNamespace(), submit_async=self._submit
        )

    def _submit(self, arguments: Any, *, jobspec: Any) -> Any:
        """Whatever Flux says of it comes with the answer."""
        options = {name.replace("_", "-"): value for name, value in vars(arguments).items() if isinstance(value, str)}
        words = [f"--{name}={value}" for name, value in options.items()]
        words += [f"--env={name}" for name in jobspec.environment]
        ask = functools.partial(self._ask, "submit", *words, *arguments.command, environment=jobspec.environment)
        return SimpleNamespace(get_id=lambda: JobID(ask().strip()))


def _refuse_guests() -> NoReturn:
    """As Flux answers those who do not own the instance."""
    raise PermissionError(errno.EPERM, "Request requires owner credentials")


class JobID(str):
    @property
    def f58(self) -> str:
        return str(self)

    def __int__(self) -> int:
        return functools.reduce(lambda value, letter: value * 58 + LETTERS.index(letter), self[1:], 0)


def _f58(number: int) -> str:
    return f"f{LETTERS[number // 58 // 58]}{LETTERS[number // 58 % 58]}{LETTERS[number % 58]}"


def _as_raised(complaint: str) -> Exception:
    words = complaint.removeprefix("flux-cancel: ERROR: ")
    if words.startswith("flux-job: "):
        return OSError(errno.EINVAL, words.partition(": ")[2].partition(": ")[2])
    if "unknown" in words or "is inactive" in words:
        return FileNotFoundError(errno.ENOENT, words)
    if "No service matching" in words:
        return OSError(errno.ENOSYS, words.removeprefix("rpc: ").removeprefix("flux-jobs: ERROR: "))
    for prefix, number in ERRNOS.items():
        if words.startswith(prefix):
            return OSError(number, words.removeprefix(prefix))
    return OSError(errno.EIO, words)
