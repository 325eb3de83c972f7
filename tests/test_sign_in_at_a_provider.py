"""Signing in at a real provider of OpenID Connect, in a real browser. Skipped, and said so, where either is missing."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.browser import CHROMIUM, PASSWORD, chromium
from tests.support.openid import NODE, SETTINGS, RunningProvider, provider
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.servers import MANAGE, RainbowServer, environment_for, start_rainbow

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.skipif(NODE is None, reason="no node with npm on this machine: apt-get install nodejs npm"),
]

OPERATOR, VIEWER, MEMBER, STRANGER = (
    {"groups": [group]} for group in ("hpc-admins", "hpc-support", "hpc-users", "others")
)
# No renewal comes by itself during a test.
RENEW_SECONDS = 36_000
RENEWALS_ARE_DUE = """
from importlib import import_module
from django.conf import settings
from django.contrib.sessions.models import Session
from rainbow_site.oidc.views import RENEW_AT
for key in Session.objects.values_list("session_key", flat=True):
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    if RENEW_AT in session:
        session[RENEW_AT] = 0
        session.save()
        print(key)
"""
SECRET_KEY = {"RAINBOW_SECRET_KEY": "only-for-the-tests"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    server: RainbowServer
    provider: RunningProvider

    def run(self, code: str) -> str:
        """Run code where the server's database is."""
        code = f"from django.contrib.auth.models import User\n{code}"
        return subprocess.run(
            [*MANAGE, "shell", "--verbosity=0", "--command", code],
            env=environment_for(self.server.database_url, **SECRET_KEY),
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        ).stdout.strip()

    def make_renewals_due(self) -> None:
        assert self.run(RENEWALS_ARE_DUE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("provider"), free_port()
    settings = {
        **SETTINGS,
        **SECRET_KEY,
        "RAINBOW_OIDC_ISSUER": f"http://127.0.0.1:{port}",
        "RAINBOW_OIDC_RENEW_SECONDS": str(RENEW_SECONDS),
    }
    server = start_rainbow(database_url=new_database(), log=folder / "server", with_web=True, environment=settings)
    with provider(folder, port=port, web=server.web) as running:
        yield Site(server=server, provider=running)
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    # The provider's own pages want fonts from elsewhere.
    context.route(re.compile(r"^https:"), lambda route: route.abort())
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def sign_in(page: Page, site: Site, subject: str, **claims: object) -> None:
    site.provider.knows(**{subject: {"preferred_username": subject, **claims}})
    page.goto(site.server.web + "/admin/")
    page.get_by_role("link", name="Sign in with Lab").click()
    page.fill("[name=login]", subject)
    page.fill("[name=password]", "any")
    page.click("[type=submit]")


def leave(page: Page) -> None:
    """Pages that are open ask the server every few seconds: one could meet a change before the test does."""
    page.goto("about:blank")


def expect_signed_in(page: Page, name: str) -> None:
    expect(page.locator("#user-tools strong")).to_have_text(name)


def test_an_operator_signs_in_for_the_first_time_and_out_here_and_there(page: Page, site: Site) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)

    sign_in(page, site, "olga", **OPERATOR)

    expect_signed_in(page, "olga")
    expect(page.get_by_role("link", name="Clusters")).to_be_visible()
    site.server.log_with(re.escape(f"signed in account='olga' peer=127.0.0.1 provider={site.provider.issuer}"))
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_role("link", name="Sign in with Lab")).to_be_visible()
    page.get_by_role("link", name="Sign in with Lab").click()
    # The provider asks anew.
    expect(page.locator("[name=login]")).to_be_visible()
    assert complaints == []


def test_the_request_to_the_provider_has_pkce_a_nonce_and_a_state(page: Page, site: Site) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/auth?" in request.url else None)

    sign_in(page, site, "paul", **OPERATOR)

    expect_signed_in(page, "paul")
    words = parse_qs(urlsplit(asked[0]).query)
    assert words["code_challenge_method"] == ["S256"]
    assert all(len(words[name][0]) >= 32 for name in ("nonce", "state", "code_challenge"))
    assert words["scope"] == ["openid profile groups"]


def test_a_change_of_groups_counts_from_the_next_renewal(page: Page, site: Site) -> None:
    sign_in(page, site, "vera", **OPERATOR)
    expect_signed_in(page, "vera")
    ask = "u = User.objects.get(username='vera'); print(u.is_staff, *u.groups.values_list('name', flat=True))"
    assert site.run(ask) == "True operators"

    leave(page)
    site.provider.knows(vera={"preferred_username": "vera", **VIEWER})
    page.goto(site.server.web + "/admin/")
    assert site.run(ask) == "True operators"

    leave(page)
    site.make_renewals_due()
    page.goto(site.server.web + "/admin/")
    expect_signed_in(page, "vera")
    assert site.run(ask) == "True viewers"

    leave(page)
    site.provider.knows(vera={"preferred_username": "vera", **STRANGER})
    site.make_renewals_due()
    page.goto(site.server.web + "/admin/")
    expect(page.get_by_text("None of your groups at the provider may use this service.")).to_be_visible()
    assert site.run(ask) == "False"
    page.goto(site.server.web + "/admin/")
    expect(page.get_by_role("link", name="Sign in with Lab")).to_be_visible()


def test_a_person_without_a_group_gets_no_account(page: Page, site: Site) -> None:
    sign_in(page, site, "stan", **STRANGER)

    expect(page.get_by_text("None of your groups at the provider may use this service.")).to_be_visible()
    assert site.run("print(User.objects.filter(username='stan').exists())") == "False"
    assert Axe().run(page).response["violations"] == []


def test_a_disabled_person_is_out_at_once_and_stays_out(page: Page, site: Site) -> None:
    sign_in(page, site, "dora", **OPERATOR)
    expect_signed_in(page, "dora")

    site.run("User.objects.filter(username='dora').update(is_active=False)")

    page.goto(site.server.web + "/admin/jobs/job/")
    again = page.get_by_role("link", name="Sign in with Lab")
    expect(again).to_be_visible()
    expect(page.get_by_text("dora")).to_have_count(0)
    again.click()
    expect(page.get_by_text("Your account is disabled.")).to_be_visible()


def test_a_session_that_is_over_begins_anew(context: BrowserContext, page: Page, site: Site) -> None:
    sign_in(page, site, "emma", **OPERATOR)
    expect_signed_in(page, "emma")

    leave(page)
    site.run(
        "from django.contrib.sessions.models import Session\nSession.objects.update(expire_date='2026-01-01T00:00Z')"
    )

    page.goto(site.server.web + "/admin/jobs/job/?state=failed")
    page.get_by_role("link", name="Sign in with Lab").click()
    expect_signed_in(page, "emma")
    assert page.url.endswith("/admin/jobs/job/?state=failed")


def test_who_is_signed_out_at_the_provider_is_signed_out_here_at_the_next_renewal(page: Page, site: Site) -> None:
    sign_in(page, site, "gone", **OPERATOR)
    expect_signed_in(page, "gone")

    leave(page)
    page.context.clear_cookies(name=re.compile("^_session"))
    site.make_renewals_due()

    page.goto(site.server.web + "/admin/")
    expect(page.get_by_text("The provider did not sign you in.")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in with Lab")).to_be_visible()


def test_a_page_that_refreshes_itself_renews_the_session(page: Page, site: Site) -> None:
    sign_in(page, site, "lena", **OPERATOR)
    expect_signed_in(page, "lena")

    with page.expect_request(lambda request: "/oidc/callback/" in request.url):
        site.make_renewals_due()

    expect_signed_in(page, "lena")
    expect(page.locator("#stale")).to_be_empty()


def test_a_local_account_signs_in_as_before_and_is_not_taken_over(page: Page, site: Site) -> None:
    site.run(f"User.objects.create_user('loka', password={PASSWORD!r}, is_staff=True, is_superuser=True)")

    sign_in(page, site, "someone", preferred_username="loka", **MEMBER)

    expect(page.get_by_text("You are authenticated as loka-2")).to_be_visible()
    page.fill("#id_username", "loka")
    page.fill("#id_password", PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect_signed_in(page, "loka")
