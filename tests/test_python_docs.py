"""docs/python: each program that a page shows is a file there, which `make types` checks and which runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import crew
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer
from tests.support.wire import joined
from tests.support.wishes import at_work
from tools.python_docs import PAGES, SHOWN, written

PROGRAMS = sorted((PAGES / "examples").glob("*.py"))
# What each prints, where that is the same each time.
PRINTED = {
    "process_pool.py": "[7, 97, 997]\n[19, 199]\n",
    "executor.py": "[7, 97, 997]\n[19, 199]\n",
    "from_submitit.py": "997\n[7, 97, 997]\n",
    "commands.py": "hello\n75 no solution\n",
    "quickstart.py": "completed hello\n",
    "asynchronous.py": "['0', '1', '2']\n",
    "gather.py": "0 2470\n",
    "watch.py": "doomed failed 3\n",
    "logs.py": "step 1\nstep 2\nstep 3\ndone\n",
    "groups.py": "{'completed': 4, 'failed': 1}\n['test 2 -ne 2']\n",
    "files.py": "[('numbers.txt', 6), ('sorted.txt', 6)]\nb'1\\n2\\n3\\n'\n",
    "errors.py": "nodes INVALID_ARGUMENT\nNOT_FOUND\nTrue True\nfailed 3\n",
}


@pytest.fixture(scope="module")
def environment(server: RainbowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a program with its settings, whose cluster has an agent."""
    folder = tmp_path_factory.mktemp("agent")
    with joined(server) as remote, crew(remote, server.address, folder) as made, at_work(made):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
        known = {"HOST": server.address, "CLUSTER": remote.name, "TOKEN": remote.token, "CONFIG": str(folder / "none")}
        yield {**kept, "PYTHONPATH": str(ROOT), **{f"RAINBOW_{name}": value for name, value in known.items()}}


def test_pages_are_what_docstrings_and_programs_say() -> None:
    for page, content in written().items():
        assert page.read_text() == content, f"{page.name} is not what `make docs` writes"
        assert len(re.findall("^```python", content, re.MULTILINE)) == len(SHOWN.findall(content)), page.name


def test_every_program_is_shown() -> None:
    shown = {found[1] for content in written().values() for found in SHOWN.findall(content)}

    assert shown == {f"examples/{program.name}" for program in PROGRAMS}
    assert PRINTED.keys() == {program.name for program in PROGRAMS}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_programs_print_what_they_should(program: Path, environment: dict[str, str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )

    assert (run.returncode, run.stdout) == (0, PRINTED[program.name]), run.stderr
