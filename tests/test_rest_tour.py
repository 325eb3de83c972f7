"""The tours with curl, in the pages of TOURS, work as they stand there: line by line, on a fresh server."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOURS = {"docs/rest.md": "A tour", "docs/iri.md": "A tour", "README.md": "REST in a minute"}
# What differs from one run to the next, and what stands for it on both sides.
VARYING = {r"rb([ts])_[\w-]{32}": r"rb\1_…", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z": "TIME"}


class Step(NamedTuple):
    """A command that a reader types, and what the page says that it prints."""

    command: str
    output: str


def steps(document: str) -> list[Step]:
    section = (ROOT / document).read_text().partition(f"\n## {TOURS[document]}\n")[2].partition("\n## ")[0]
    parts = [part for block in CONSOLE.findall(section) for part in f"\n{block}".split("\n$ ")[1:]]
    return [Step(*part.partition("\n")[::2]) for part in parts]


def settled(text: str) -> list[str]:
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    return text.strip().splitlines()


@pytest.mark.parametrize("document", TOURS)
def test_the_tour_works_as_it_stands_there(
    start_server: Callable[..., RainbowServer], tmp_path: Path, document: str
) -> None:
    server = start_server(with_web=True, environment={"RAINBOW_REGISTRATION_SECRET": ""})
    shell = Shell(tmp_path, server)

    for step in steps(document):
        assert settled(shell.type(step.command)) == settled(step.output), step.command

    assert shell.typed >= 4


class Shell:
    """A terminal: what one command sets, the next one has."""

    def __init__(self, folder: Path, server: RainbowServer) -> None:
        self.variables = folder / "variables"
        self.variables.touch()
        self.web = server.web
        self.credentials: dict[str, str] = {}
        self.typed = 0

    def type(self, command: str) -> str:
        command = command.replace("http://localhost:8000", self.web)
        for place, value in self.credentials.items():
            # The reader pastes what the server said.
            command = command.replace(place, value)
        script = f"set -a; source {self.variables}; {command}\nexport -p > {self.variables}"
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env={"PATH": os.environ["PATH"]},
        )
        assert done.returncode == 0, done.stderr
        self.credentials.update({f"{value[:4]}…": value for value in re.findall(r"rb[ts]_[\w-]{32}", done.stdout)})
        self.typed += 1
        return done.stdout
