"""Pages of the manual that are a tour: each command is run as a reader would, and has to print what stands there."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.manual import terminal
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer

AGENT = "rainbow agent --executor local"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A command with the lines that it reads, up to the next one.
_STEP = re.compile(r"^\$ (?P<command>.*<<'END'\n(?:.*\n)*?END\n|.*\n)(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
# What differs from one run to the next, and what stands for it on both sides.
VARYING = {
    r"in [\d.]+ seconds \([\d,]+ a second\)": "in SECONDS",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \([^)]*\)": "TIME",
    r"[ \t]+": " ",
}
# That depends on how quick the reader is.
WHEN_IT_ASKED = ("Jobs of keebler were ", "Warning: keebler has never asked for jobs")


class Step(NamedTuple):
    command: str
    output: str


def steps(page: str) -> list[Step]:
    """Of a page whose first block starts the agent."""
    first, *others = _BLOCK.findall((ROOT / "docs" / page).read_text())
    assert first == f"$ {AGENT}\n"
    return [Step(found["command"], found["output"]) for block in others for found in _STEP.finditer(block)]


def settled(text: str) -> list[str]:
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    lines = (line.strip() for line in text.strip().splitlines())
    return [line for line in lines if not line.startswith(WHEN_IT_ASKED)]


@contextmanager
def shell(server: RainbowServer, folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a reader whose server runs, who registered keebler, and whose agent takes its jobs."""
    environment = {**terminal(folder, server), "HOME": str(folder)}
    subprocess.run(
        ["rainbow", "register", "--save", "--timeout", str(PATIENCE_SECONDS)],
        env=environment,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    with (folder / "agent.log").open("w") as log:
        words = [*AGENT.split(), "--state-dir", str(folder / "state")]
        agent = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        yield environment
    finally:
        agent.terminate()
        agent.wait(PATIENCE_SECONDS)


def take(step: Step, *, environment: Mapping[str, str], folder: Path) -> None:
    run = subprocess.run(
        ["bash", "-c", step.command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    failed = step.output.startswith("Error: ")
    assert (bool(run.returncode), settled(run.stdout)) == (failed, settled(step.output)), (step.command, run.stdout)
