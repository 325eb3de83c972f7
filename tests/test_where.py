"""The page "Where will it run?" is true as it stands: each command is run, and says what it says there."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.queries.prospects import Outlook
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import ROOT, RainbowServer, environment_for

PAGE = (ROOT / "docs" / "where.md").read_text()
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What differs from one run to the next, or from one machine to another, and what stands for it on both sides.
VARYING = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "TIME",
    r"\S*/config\.toml": "FILE",
    r"just now|\d+ (second|minute)s? ago": "AGO",
    r"has its turn in [45] minutes": "has its turn SOON",
    r"position \d+": "position N",
    r"(localhost|127\.0\.0\.1):\d+": "ADDRESS",
    r"rbt_[\w…-]+": "TOKEN",
    r"\b[0-9a-f]{32}\b": "KEY",
    r"\d+ MiB": "MEMORY",
    r"arch: .*": "ARCH",
    r"[ \t]+": " ",
}


class Step(NamedTuple):
    """A command that a reader types, and what the page says that it prints."""

    command: str
    output: str


def steps() -> list[Step]:
    parts = (part for block in CONSOLE.findall(PAGE) for part in f"\n{block}".split("\n$ ")[1:])
    return [Step(*part.partition("\n")[::2]) for part in parts]


def settled(text: str) -> list[str]:
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.strip().splitlines()]


class Terminal:
    """A shell in which `rainbow` and `python` are this checkout's, on the machine of the server."""

    def __init__(self, server: RainbowServer, home: Path, stack: ExitStack) -> None:
        folder = home / "bin"
        folder.mkdir()
        (folder / "rainbow").write_text(
            f"#!{sys.executable}\nfrom rainbow.cli import main\nmain(prog_name='rainbow')\n"
        )
        (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        for program in folder.iterdir():
            program.chmod(0o755)
        kept = environment_for(server.database_url)
        self._stack = stack
        self._environment = {
            **kept,
            "PATH": f"{folder}:{kept['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "RAINBOW_HOST": server.address,
            "RAINBOW_CONFIG": str(home / "config.toml"),
        }

    def type(self, command: str) -> str:
        shell = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        return shell.stdout

    def leave_running(self, command: str) -> None:
        agent = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=ROOT, env=self._environment, stderr=subprocess.DEVNULL
        )
        self._stack.callback(agent.wait, PATIENCE_SECONDS)
        self._stack.callback(agent.terminate)

    def export(self, words: str) -> None:
        self._environment.update(word.split("=", 1) for word in words.split())

    def has_run_all_but(self, waiting: int) -> bool:
        states = [job["state"] for job in json.loads(self.type("rainbow jobs --json"))["jobs"]]
        return states.count("queued") == waiting and not {"accepted", "running"} & set(states)

    def has_told_what_it_has(self, cluster: str) -> bool:
        return '"local"' in self.type(f"rainbow clusters --cluster-name {cluster} {cluster} --json")


@pytest.fixture
def terminal(start_server: Callable[..., RainbowServer], embedded_database: str, tmp_path: Path) -> Iterator[Terminal]:
    server = start_server(database_url=embedded_database, environment={"RAINBOW_REGISTRATION_SECRET": ""})
    with ExitStack() as stack:
        yield Terminal(server, tmp_path, stack)


def test_each_command_says_what_the_page_says(terminal: Terminal) -> None:
    assert len(steps()) > 10
    token = ""
    for command, output in steps():
        if command.startswith("rainbow agent "):
            terminal.leave_running(command)
            wait_until(partial(terminal.has_told_what_it_has, command.split()[3]))
        elif command.startswith("export "):
            terminal.export(command.removeprefix("export ").replace("rbt_…", token))
        else:
            if command == "rainbow jobs":
                wait_until(partial(terminal.has_run_all_but, output.count("queued")))
            said = terminal.type(command)
            assert settled(said) == settled(output), command
            token = next(iter(re.findall(r"rbt_[\w-]+", said)), token)


def test_the_page_has_every_outlook() -> None:
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|[^|]*\|([^|]*)\|", PAGE, re.MULTILINE)))) >= {*Outlook}
