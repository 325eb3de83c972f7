"""Processes that live and die together: what they do when one dies, or does not obey."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.processes import alive, descendants
from tests.support.servers import ROOT

# Runs the children whose code it is given, as manage.py serve runs its own.
PARENT = """
import logging, os, sys
from rainbow_site.process import children
logging.basicConfig(level="INFO")
children._OBEYS_WITHIN_SECONDS, children._PAUSES_SECONDS = 1, (0, 0, 0)
codes = [text.partition(" ") for text in sys.argv[1:]]
family = [
    children.Child(
        name=f"child {n}", command=[sys.executable, "-c", code], restarts=kind != "once", needed=kind != "spare"
    )
    for n, (kind, _, code) in enumerate(codes, start=1)
]
sys.exit(children.run_together(family, environment=os.environ))
"""
SLEEPS = "import signal; signal.pause()"
READY = "open({!r}, 'w').close(); "


def start(*children: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, *children]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_the_end_of_one_is_the_end_of_all() -> None:
    parent = start("once " + SLEEPS, "once raise SystemExit(7)")

    _, said = parent.communicate(timeout=PATIENCE_SECONDS)

    assert parent.returncode == 7
    assert "child 2 ended; stopping the rest code=7" in said


def test_one_that_restarts_and_never_stays_is_the_end_of_all(tmp_path: Path) -> None:
    count = f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); raise SystemExit(9)"
    parent = start("once " + SLEEPS, "restarts " + count)

    _, said = parent.communicate(timeout=PATIENCE_SECONDS)

    assert parent.returncode == 9
    assert (tmp_path / "starts").read_text() == "xxxx", "it was started again three times"
    assert said.count("child 2 ended; starting it again code=9") == 3
    assert "child 2 ended; stopping the rest code=9" in said


def test_one_that_is_not_needed_is_started_again_for_ever(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    parent = start("once " + SLEEPS, f"spare open({str(starts)!r}, 'a').write('x'); raise SystemExit(9)")

    wait_until(lambda: starts.exists() and len(starts.read_text()) > 6)

    assert parent.poll() is None, "the others go on"
    parent.terminate()
    parent.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_does_not_obey_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    parent = start("once " + deaf + READY.format(str(tmp_path / "deaf")) + "\nwhile True: signal.pause()")
    wait_until((tmp_path / "deaf").exists)

    parent.send_signal(number)
    parent.communicate(timeout=PATIENCE_SECONDS)

    assert parent.returncode == 128 + signal.SIGKILL


def test_none_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    ready = READY.format(str(tmp_path / "ready"))
    parent = start("once " + SLEEPS, "restarts " + ready + SLEEPS)
    wait_until((tmp_path / "ready").exists)
    family = descendants(parent.pid)

    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=PATIENCE_SECONDS)

    wait_until(lambda: not alive(family))
