"""A real browser, headless, in front of a real server with the demo's fleet.

Plain playwright, not pytest-playwright: that keeps an event loop running in the tests' own thread until the last test
is over, in which Django's database calls and asyncio.run() refuse to work. The browser is the system's Chromium.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Page, StorageState, ViewportSize, expect, sync_playwright

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, environment_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PASSWORD = "only-for-the-tests"
DESK = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
# Headless, as root, and without calls to its maker.
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


expect.set_options(timeout=PATIENCE_SECONDS * 1000)

# Of people who are none of the staff.
_PAGES_OF = {"ada": "/sign-in/"}
# Sessions by server and name: checking a password is slow on purpose.
_signed_in: dict[tuple[str, str], StorageState] = {}


@dataclass(slots=True, kw_only=True)
class Visit:
    """A visit with the browser. `complaints` are the errors and warnings of its console."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser,
    address: str,
    path: str = "",
    *,
    who: str = "operator",
    size: ViewportSize = DESK,
    dark: bool = False,
    scripts: bool = True,
) -> Iterator[Visit]:
    """Sign in and go to `path`; an empty one is where signing in leads. Without `scripts` none runs."""
    key = (address, who)
    context = browser.new_context(
        viewport=size,
        color_scheme="dark" if dark else "light",
        storage_state=_signed_in.get(key),
        java_script_enabled=scripts,
    )
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    visiting = Visit(page=context.new_page(), address=address)
    visiting.page.on("console", lambda message: visiting.note(message))
    visiting.page.on("pageerror", lambda error: visiting.complaints.append(str(error)))
    visiting.go(path or _PAGES_OF.get(who, "/admin/"))
    if key not in _signed_in:
        visiting.page.fill("#id_username", who)
        visiting.page.fill("#id_password", PASSWORD)
        visiting.page.click("[type=submit]")
        # The session's cookie is there with the next page.
        expect(visiting.page.locator("#id_password")).to_have_count(0)
        _signed_in[key] = context.storage_state()
    yield visiting
    context.close()


def fill_with_demo(database_url: str, *, jobs: int) -> None:
    subprocess.run(
        [*MANAGE, "demo", f"--jobs={jobs}", f"--password={PASSWORD}"],
        env=environment_for(database_url),
        check=True,
        timeout=PATIENCE_SECONDS,
    )
