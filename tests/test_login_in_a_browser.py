"""`rainbow login`, approved in a real browser by a person who is no operator. Skipped, and said so, without one."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support import processes
from tests.support.browser import CHROMIUM, DESK, PASSWORD, PHONE, chromium
from tests.support.commandline import MAIN
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, RainbowServer, environment_for, start_rainbow

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

_PAGE = re.compile(r"^Open (\S+)$", re.MULTILINE)
_MAKE = f"from django.contrib.auth.models import User; User.objects.create_user('alice', password={PASSWORD!r})"


@pytest.fixture(scope="module")
def server(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    log, database_url = tmp_path_factory.mktemp("server") / "log", new_database()
    running = start_rainbow(
        database_url=database_url, log=log, with_web=True, environment={"RAINBOW_URL": "https://rainbow.invalid"}
    )
    make = [*MANAGE, "shell", "--verbosity=0", "--command", _MAKE]
    subprocess.run(make, env=environment_for(database_url), check=True, timeout=PATIENCE_SECONDS)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def environment(server: RainbowServer, tmp_path: Path) -> dict[str, str]:
    """Of a command line that knows nothing but where the server is."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAINBOW_")}
    return {**known, "RAINBOW_HOST": server.address, "RAINBOW_CONFIG": str(tmp_path / "config.toml")}


def expect_clean(page: Page) -> None:
    """In both colors and on both sizes of screen."""
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            # Colors that fade into others are those of neither.
            page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished)).then(() => null)")
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"


def test_a_person_approves_a_command_line_that_then_knows_them(
    server: RainbowServer, browser: Browser, environment: dict[str, str], tmp_path: Path
) -> None:
    config, log = tmp_path / "config.toml", tmp_path / "login"
    asking = processes.start([*MAIN, "login", "--label", "laptop"], log=log, environment=environment)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    try:
        processes.wait_until(lambda: bool(_PAGE.search(log.read_text())), process=asking, log=log)
        (address,) = _PAGE.findall(log.read_text())
        page.goto(address.replace("https://rainbow.invalid", server.web))
        expect_clean(page)
        page.fill("#id_username", "alice")
        page.fill("#id_password", PASSWORD)
        page.click("[type=submit][value='Sign in']")
        expect(page.get_by_text(address.rpartition("/")[2], exact=True)).to_be_visible()
        expect(page.get_by_text("laptop", exact=True)).to_be_visible()
        expect_clean(page)
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("The command line laptop will be signed in as alice")).to_be_visible()
        expect_clean(page)
        asking.wait(PATIENCE_SECONDS)
    finally:
        processes.stop(asking, gently=signal.SIGTERM)
        context.close()

    assert (asking.returncode, complaints) == (0, []), log.read_text()
    assert "You are signed in as alice" in log.read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    who = subprocess.run(
        [*MAIN, "whoami", "--json"], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert who.returncode == 0, who.stderr
    assert json.loads(who.stdout)["person"] == "alice"
