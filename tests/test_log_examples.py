"""The lines of log that the manual shows are those of a real server and a real agent, but for their values."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import MAIN
from tests.support.patience import PATIENCE_SECONDS
from tests.support.people import Person, signed_in_at
from tests.support.servers import ROOT, RainbowServer, start_rainbow
from tests.support.web import post
from tests.support.wire import Remote, bearer, connected, registration

CLUSTER = "keebler"
PAGES = ("logs.md", "admin.md")
LINE = re.compile(r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} )?(INFO|WARNING) (.*)$", re.MULTILINE)
FIELD = re.compile(r""" (\w+)=('(?:[^'\\]|\\.)*'|[^\s'"]+)""")

# Level, event, and the fields in their order, each with its value if that is words of rainbow, else with whether it is
# quoted.
Shape = tuple[str, str, tuple[tuple[str, str], ...]]


def shapes_in(text: str) -> set[Shape]:
    return {
        (level, rest[: first.start()], tuple((name, _kept(value)) for name, value in FIELD.findall(rest)))
        for level, rest in LINE.findall(text)
        if (first := FIELD.search(rest))
    }


def _kept(value: str) -> str:
    return value if " " in value else "'" * value.startswith("'")


@pytest.fixture(scope="module")
def keebler(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Remote, RainbowServer]]:
    log = tmp_path_factory.mktemp("shown") / "log"
    server = start_rainbow(database_url=new_database(), log=log, with_web=True, environment={"RAINBOW_GUESSES": "1"})
    with connected(server.address) as stub:
        new = stub.Register(registration(server, name=CLUSTER), timeout=PATIENCE_SECONDS)
        yield Remote(name=CLUSTER, token=new.token, secret=new.secret, stub=stub), server
    server.stop()


def use_as_operators_do(server: RainbowServer) -> None:
    ada = signed_in_at(server, "ada", "operators", permissions=("manage_credential",))
    for _ in range(2):
        with suppress(AssertionError, HTTPError):
            Person(server).sign_in("olga", "wrong")
    made = ada.post(f"/api/v1/clusters/{CLUSTER}/credentials", {"kind": "token", "label": "ci"})
    with connected(server.address) as stub:
        stub.GetJobs(pb.GetJobsRequest(jobids=[1]), metadata=bearer(made["value"]), timeout=PATIENCE_SECONDS)


def run_agent(remote: Remote, server: RainbowServer, folder: Path) -> str:
    known = {"RAINBOW_HOST": server.address, "RAINBOW_CLUSTER": CLUSTER, "RAINBOW_SECRET": remote.secret}
    return subprocess.run(
        [*MAIN, "agent", "--executor", "local", "--once", "--state-dir", str(folder)],
        env={**os.environ, "HOME": str(folder), **known},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    ).stderr


def test_lines_of_text_are_as_shown(keebler: tuple[Remote, RainbowServer], tmp_path: Path) -> None:
    remote, server = keebler
    remote.submit("exit 3")
    post(server, "/api/v1/jobs", {"command": "true"}, bearer=remote.token, X_Request_ID="build-42")
    use_as_operators_do(server)
    agent = run_agent(remote, server, tmp_path)

    shown = {page: shapes_in((ROOT / "docs" / page).read_text()) for page in PAGES}
    server.stop()
    written = shapes_in(server.log.read_text() + agent)

    assert [len(shown[page]) for page in PAGES] == [5, 5]
    for page, shapes in shown.items():
        assert shapes <= written, f"docs/{page}: {shapes - written}"


def test_an_object_of_json_is_as_shown(new_database: Callable[[], str], tmp_path: Path) -> None:
    server = start_rainbow(
        database_url=new_database(), log=tmp_path / "log", environment={"RAINBOW_LOG_FORMAT": "json"}
    )
    with connected(server.address) as stub:
        new = stub.Register(registration(server, name=CLUSTER), timeout=PATIENCE_SECONDS)
        Remote(name=CLUSTER, token=new.token, secret=new.secret, stub=stub).submit()
    server.stop()

    [shown] = re.findall(r"^```json\n(.*)\n```$", (ROOT / "docs" / "logs.md").read_text(), re.MULTILINE)
    entries = [json.loads(line) for line in server.log.read_text().splitlines()]
    written = next(entry for entry in entries if entry.get("call") == "SubmitJob")

    assert form_of(json.loads(shown)) == form_of(written)


def form_of(entry: dict[str, Any]) -> list[tuple[str, object]]:
    """Keys in their order, with what kind of value each has; the words that do not change, too."""
    plain = ("level", "logger", "message", "call", "cluster", "job", "code")
    return [(name, value if name in plain else type(value)) for name, value in entry.items()]
