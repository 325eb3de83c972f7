"""The command line, run in this process by somebody who knows more or less."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from rainbow.cli import main
from rainbow.client import Client
from rainbow.config import DEFAULTS
from rainbow.records import Registration
from tests.support.servers import RainbowServer

Run = Callable[..., Result]


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in DEFAULTS:
        monkeypatch.delenv(f"RAINBOW_{name.upper()}", raising=False)
    monkeypatch.setenv("RAINBOW_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path / "config.toml"


@pytest.fixture
def stranger(server: RainbowServer, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line where only the server and its registration secret are known."""
    monkeypatch.setenv("RAINBOW_HOST", server.address)
    monkeypatch.setenv("RAINBOW_REGISTRATION_SECRET", server.registration_secret)
    return lambda *words, input=None: CliRunner().invoke(main, words, input=input)


@pytest.fixture
def cluster(server: RainbowServer) -> Registration:
    with Client(server.address) as client:
        return client.register(f"c-{uuid4().hex}", registration_secret=server.registration_secret)


@pytest.fixture
def rainbow(stranger: Run, cluster: Registration, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line where the cluster's token and secret are known."""
    monkeypatch.setenv("RAINBOW_CLUSTER", cluster.cluster)
    monkeypatch.setenv("RAINBOW_TOKEN", cluster.token)
    monkeypatch.setenv("RAINBOW_SECRET", cluster.secret)
    return stranger


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
