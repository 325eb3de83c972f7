"""The README's "Five minutes by hand" work as they stand there: each command is run, and says what it says there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.manual import terminal
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer

README = (ROOT / "README.md").read_text()
BY_HAND = README.partition("\n## Five minutes by hand\n")[2].partition("\n## ")[0]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START, ACTIVATE = "make run", "source .venv/bin/activate"
# What differs from one run to the next, and what stands for it on both sides.
VARYING = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}": "TIME",
    r"\S*/rainbow\.db": "DATABASE",
    r"\S*/config\.toml": "FILE",
    r"just now|\d+ seconds? ago": "AGO",
    r"(localhost|127\.0\.0\.1|\[::\]):\d+": "ADDRESS",
    r"[ \t]+": " ",
}


class Step(NamedTuple):
    """A command that a reader types, and what the README says that it prints."""

    command: str
    output: str


def steps() -> list[Step]:
    found = []
    for block in CONSOLE.findall(BY_HAND):
        for part in f"\n{block}".split("\n$ ")[1:]:
            command, _, output = part.partition("\n")
            found.append(Step(command, output))
    return found


def settled(text: str) -> list[str]:
    for pattern, word in VARYING.items():
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.strip().splitlines()]


@pytest.fixture
def by_the_readme(start_server: Callable[..., RainbowServer], tmp_path: Path) -> RainbowServer:
    """What `make run` starts, on a free port and a database of its own, without any setting of the secret."""
    return start_server(
        database_url=f"sqlite:///{tmp_path / 'rainbow.db'}",
        with_web=True,
        environment={"RAINBOW_REGISTRATION_SECRET": ""},
    )


@pytest.fixture
def second_terminal(by_the_readme: RainbowServer, tmp_path: Path) -> dict[str, str]:
    return terminal(tmp_path, by_the_readme)


def test_each_further_terminal_gets_the_environment() -> None:
    begun = re.findall(r"In a (?:second|third) terminal.*?```console\n\$ (.*?)\n", README, re.DOTALL)

    assert begun == [ACTIVATE] * 2


def test_five_minutes_by_hand(by_the_readme: RainbowServer, second_terminal: dict[str, str]) -> None:
    start, activate, *others = steps()
    assert (start.command, activate.command) == (START, ACTIVATE)

    log = by_the_readme.log_with(" serves ", "a process of the web server is ready")
    # The process of the web server may be ready before gRPC is served.
    assert sorted(settled(log)) == sorted(settled(start.output))
    for step in others:
        assert settled(typed(step.command, second_terminal)) == settled(step.output), step.command

    words = {step.command.split()[1] for step in others}
    assert words >= {"register", "submit", "request", "jobs"}
    assert any("--accept" in step.command for step in others)


def typed(command: str, environment: dict[str, str]) -> str:
    shell = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert shell.returncode == 0, shell.stdout
    return shell.stdout


def test_make_run_starts_what_the_tests_start() -> None:
    recipe = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/runtime", "run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert recipe.stdout.split()[-2:] == ["manage.py", "serve"]


def test_make_puts_the_checkout_back_where_pip_has_put_a_copy(tmp_path: Path) -> None:
    # The last is what make takes for the time of the installation.
    for name in ("requirements.lock", "pyproject.toml", ".venv/bin/python", ".venv/runtime"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert "--editable" not in would_run(tmp_path, "run")
    copy = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "rainbow"
    copy.mkdir(parents=True)
    (copy / "__init__.py").touch()
    os.utime(copy / "__init__.py", (0, 0))  # that of what pip has built before

    assert "--editable ." in would_run(tmp_path, "run")


@pytest.mark.parametrize(
    ("ends", "passes", "again"),
    [((0, 0, 0), True, []), ((1, 0, 0, 0), True, [1]), ((1, 1), False, [1]), ((2,), False, [])],
)
def test_make_check_runs_failed_tests_once_more(
    tmp_path: Path, ends: tuple[int, ...], passes: bool, again: list[int]
) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "development").touch()
    python = tmp_path / "python"
    python.write_text(
        '#!/usr/bin/env bash\necho "$@" >> runs\n'
        f'ends=({" ".join(map(str, ends))})\nexit "${{ends[$(wc -l < runs) - 1]}}"\n'
    )
    python.chmod(0o755)
    words = [
        "make",
        f"--makefile={ROOT / 'Makefile'}",
        "--assume-old=.venv/development",
        f"BIN={tmp_path}",
        "test-sqlite",
    ]

    made = subprocess.run([*words, "AGAIN=$(ONCE_MORE)"], cwd=tmp_path, capture_output=True, text=True)

    runs = (tmp_path / "runs").read_text().splitlines()
    assert (made.returncode == 0) == passes, made.stderr
    assert [number for number, run in enumerate(runs) if "--last-failed" in run] == again
    assert len(runs) == len(ends)


def test_failed_tests_run_once_more_by_make_check_alone(tmp_path: Path) -> None:
    assert would_run(ROOT, "check").count("--last-failed ") == would_run(ROOT, "check").count("|| {") == 5
    assert "--last-failed" not in would_run(ROOT, "test")


def would_run(folder: Path, target: str) -> str:
    words = ["make", "--no-print-directory", "--dry-run", f"--makefile={ROOT / 'Makefile'}", target]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([a-z-]+)`", README))))
def test_every_target_that_the_readme_names_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_a_python_without_rainbow_is_told_which_one_has_it() -> None:
    run = subprocess.run([sys.executable, "-S", "manage.py", "prune"], cwd=ROOT, capture_output=True, text=True)

    assert run.returncode == 1
    assert run.stderr.startswith("No module named 'django': ")
    assert run.stderr.endswith(f"; `{ACTIVATE}` first\n")
