"""The command line, run in this process with more or fewer of its settings."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rainbow.cli import main
from rainbow.config import DEFAULTS
from rainbow.terminal import session
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rehearsed import RehearsedServer, rehearsed_server
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

MAIN = [sys.executable, "-c", "from rainbow.cli import main; main(prog_name='rainbow')"]

Run = Callable[..., Result]
Begin = Callable[..., RehearsedServer]


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in DEFAULTS:
        monkeypatch.delenv(f"RAINBOW_{name.upper()}", raising=False)
    monkeypatch.setenv("RAINBOW_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path / "config.toml"


@pytest.fixture
def stranger(server: RainbowServer, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line with the server and its registration secret alone.

    Without `--timeout` it has the patience of a test: on a machine that stands still for a while no server is away.
    """
    monkeypatch.setattr(session, "DEFAULT_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setenv("RAINBOW_HOST", server.address)
    monkeypatch.setenv("RAINBOW_REGISTRATION_SECRET", server.registration_secret)
    return lambda *words, input=None: CliRunner().invoke(main, words, input=input)


@pytest.fixture
def rainbow(stranger: Run, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line with the cluster's token and secret as well."""
    monkeypatch.setenv("RAINBOW_CLUSTER", remote.name)
    monkeypatch.setenv("RAINBOW_TOKEN", remote.token)
    monkeypatch.setenv("RAINBOW_SECRET", remote.secret)
    return stranger


@pytest.fixture
def begin(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Gives the command line a token, and a server with a script."""
    with ExitStack() as stack:

        def start(*script: Any) -> RehearsedServer:
            server = stack.enter_context(rehearsed_server(*script))
            monkeypatch.setenv("RAINBOW_HOST", server.address)
            monkeypatch.setenv("RAINBOW_TOKEN", "the-token")
            return server

        yield start


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
