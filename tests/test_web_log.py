"""What the web server writes into its log, and what it shouts."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.room import signed_in
from tests.servers import RainbowServer
from tests.web import call, get

DEBUG = "RAINBOW_DEBUG is on: whoever makes a page fail reads"


def new_lines(server: RainbowServer, ask: Callable[[], object]) -> list[str]:
    """What the server wrote while it was asked; a request's own line comes before its answer."""
    before = len(server.log.read_text())
    ask()
    return server.log.read_text()[before:].splitlines()


@pytest.mark.parametrize("host", ["evil.example.org", "a b", "x" * 2_000])
@pytest.mark.parametrize("path", ["/admin/", "/api/v1/jobs"])
def test_a_wrong_host_takes_one_short_line_beside_the_requests_own(
    web_server: RainbowServer, path: str, host: str
) -> None:
    lines = new_lines(web_server, lambda: call(web_server, "GET", path, headers={"Host": host}))

    assert len(lines) == 2, lines
    assert "ERROR Invalid HTTP_HOST header: " in lines[0] and host[:100] in lines[0]
    assert len(lines[0]) < 400
    assert "status=400" in lines[1]


def test_a_wrong_host_names_the_setting(web_server: RainbowServer) -> None:
    lines = new_lines(web_server, lambda: call(web_server, "GET", "/admin/", headers={"Host": "rainbow.example.org"}))

    assert lines[0].endswith("You may need to add 'rainbow.example.org' to RAINBOW_ALLOWED_HOSTS.")


def test_a_server_in_debug_mode_shouts(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(with_web=True, environment={"RAINBOW_DEBUG": "1"})

    assert f"WARNING {DEBUG}" in server.log.read_text()
    assert b"RAINBOW_DEBUG is on" in get(server, "/admin/login/").body


def test_every_page_says_that_debug_mode_is_on(alpha: Any, now: datetime, settings: Any) -> None:
    client = signed_in("vera", "viewers")
    pages = ["/admin/", "/admin/jobs/job/", f"/admin/clusters/cluster/{alpha.cluster.id}/change/", "/admin/jobs/job/9/"]

    settings.DEBUG = True
    assert [DEBUG in client.get(page, follow=True).content.decode() for page in pages[:3]] == [True] * 3
    settings.DEBUG = False
    assert [DEBUG in client.get(page, follow=True).content.decode() for page in pages] == [False] * 4


def test_a_quiet_server_does_not_shout(web_server: RainbowServer) -> None:
    assert DEBUG not in Path(web_server.log).read_text()
