"""The pages of people in a real browser. Skipped, and said so, where there is no Chromium."""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.support.browser import CHROMIUM, PHONE, Visit, chromium, fill_with_demo, visit
from tests.support.servers import RainbowServer, start_rainbow
from tests.test_console_in_a_browser import overflows

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]

PAGES = [
    "/my/jobs/",
    "/my/jobs/?state=failed&choose=1",
    "/my/jobs/{j}/",
    "/my/jobs/{q}/",
    "/my/jobs/{q}/resubmit/",
    "/my/jobs/{r}/signal/",
    "/my/jobs/cancel/?id={q}",
    "/my/groups/",
    "/my/clusters/",
    "/my/clusters/keebler/",
    "/my/clusters/any-gpu/",
    "/my/tokens/",
    "/my/tokens/new/",
    "/my/projects/",
    "/my/projects/climate/",
    "/my/projects/climate/members/remove/?person=emil",
    "/my/projects/climate/tokens/new/",
    "/my/projects/climate/webhooks/",
    "/my/projects/climate/webhooks/new/",
    "/my/usage/",
    "/my/nothing/",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    url = new_database()
    fill_with_demo(url, jobs=4_000)
    running = start_rainbow(database_url=url, log=tmp_path_factory.mktemp("site") / "log", with_web=True)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ids(browser: Browser, site: RainbowServer) -> dict[str, str]:
    """Jobs that ada may act on: one that has ended, one that waits, and one that runs."""
    with visit(browser, site.web, who="ada") as visiting:
        found = {}
        # At some times of day none of ada's own runs, but always one of the project that she leads.
        for name, which in (("j", "state=failed&whose=mine"), ("q", "state=queued&whose=mine"), ("r", "state=running")):
            visiting.go(f"/my/jobs/?{which}")
            found[name] = visiting.page.locator("table.jobs tbody a").first.inner_text()
    return found


@pytest.fixture
def ada(browser: Browser, site: RainbowServer) -> Iterator[Visit]:
    """A person at a desk; nothing that she does may make the browser complain."""
    with visit(browser, site.web, who="ada") as visiting:
        yield visiting
        assert not visiting.complaints


def test_signing_in_leads_to_ones_own_jobs_which_refresh_in_place(ada: Visit) -> None:
    ada.go("/")
    expect(ada.page.get_by_role("heading", name="My jobs")).to_be_visible()
    expect(ada.page.get_by_role("navigation", name="Sections").get_by_role("link")).to_have_text(
        ["Jobs", "Groups", "Clusters", "Projects", "Tokens", "Usage"]
    )
    before = ada.page.locator("#now").inner_text()

    expect(ada.page.locator("#now")).not_to_have_text(before)


def test_a_job_is_found_read_submitted_again_and_cancelled(ada: Visit) -> None:
    page = ada.page
    ada.go("/my/jobs/")
    page.get_by_label("State").select_option("completed")
    page.get_by_label("Project", exact=True).select_option("climate")
    page.get_by_role("button", name="Show").click()
    page.locator("table.jobs tbody a").first.click()
    expect(page.get_by_role("img", name=re.compile("queued for"))).to_be_visible()
    expect(page.get_by_role("heading", name="Command")).to_be_visible()
    page.get_by_role("link", name="Submit again…").click()
    page.get_by_label("To cluster or pool").select_option("marl")
    page.get_by_role("button", name="Submit", exact=True).click()

    expect(page.get_by_text(re.compile("^Submitted as job"))).to_be_visible()
    expect(page.get_by_role("heading", name="Why it waits")).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("Reason").fill("only to see")
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.get_by_text("1 job cancelled.")).to_be_visible()
    expect(page.locator("#timeline").get_by_text("only to see")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel…")).to_have_count(0)


@pytest.fixture
def plain(browser: Browser, site: RainbowServer) -> Iterator[Visit]:
    """Ada with a browser that runs no scripts."""
    with visit(browser, site.web, "/my/jobs/", who="ada", scripts=False) as visiting:
        yield visiting
        assert not visiting.complaints


def test_a_job_is_submitted_again_with_changes(plain: Visit, ids: dict[str, str]) -> None:
    page = plain.page
    plain.go(f"/my/jobs/{ids['j']}/resubmit/")
    page.get_by_text("Change what it asks for").click()
    page.get_by_label("Nodes").fill("7")
    # Whatever the job asked for, there is a cluster with so much.
    page.get_by_label("Tasks").fill("7")
    page.get_by_label("Cores per task").fill("1")
    page.get_by_label("Time limit").fill("soon")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("must be as in 90, 10m, 2h or 1h30m")).to_be_visible()
    page.get_by_label("Time limit").fill("1h30m")
    page.get_by_role("button", name="Submit", exact=True).click()

    expect(page.get_by_text(re.compile("^Submitted as job"))).to_be_visible()
    facts = page.locator("dl.facts")
    expect(facts.get_by_text(re.compile(r"^7\b")).first).to_be_visible()
    expect(page.get_by_role("link", name=ids["j"], exact=True)).to_be_visible()


def test_a_running_job_is_sent_a_signal(plain: Visit, ids: dict[str, str]) -> None:
    plain.go(f"/my/jobs/{ids['r']}/")
    plain.page.get_by_role("link", name="Signal…").click()
    plain.page.get_by_label("Signal").select_option("USR1")
    plain.page.get_by_role("button", name="Send").click()

    expect(plain.page.get_by_text("SIGUSR1 will be sent by the cluster's agent.")).to_be_visible()


def test_a_lead_makes_a_webhook_whose_secret_is_shown_once_and_removes_it(plain: Visit) -> None:
    page = plain.page
    plain.go("/my/projects/climate/")
    page.get_by_role("link", name="Webhooks of climate").click()
    page.get_by_role("link", name="New webhook…").click()
    page.get_by_label("URL").fill("https://hooks.example.org/rainbow")
    page.get_by_label("a job ended").check()
    page.get_by_role("button", name="Make").click()

    value = page.get_by_label("The new value").inner_text()
    assert value.startswith("whsec_")
    page.get_by_role("link", name="Back to the webhooks of climate").click()
    expect(page.get_by_role("cell", name="https://hooks.example.org/rainbow")).to_be_visible()
    assert value not in page.content()
    page.get_by_role("link", name=re.compile("Remove webhook")).click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text(re.compile(r"^Webhook \d+ is removed\."))).to_be_visible()


def test_several_jobs_are_chosen_and_cancelled(ada: Visit) -> None:
    ada.go("/my/jobs/?state=queued&whose=mine")
    ada.page.get_by_role("link", name="Choose jobs to cancel…").click()
    for place in (0, 1):
        ada.page.get_by_role("checkbox", name=re.compile("Choose job")).nth(place).check()
    ada.page.get_by_role("button", name="Cancel the chosen jobs…").click()
    ada.page.get_by_role("button", name="Cancel 2 jobs").click()

    expect(ada.page.get_by_text("2 jobs cancelled.")).to_be_visible()


def test_a_token_is_made_by_keyboard_alone_shown_once_and_revoked(ada: Visit) -> None:
    ada.go("/my/tokens/new/")
    keyboard = ada.page.keyboard
    ada.page.get_by_label("Label").focus()
    keyboard.type("by-keyboard")
    keyboard.press("Enter")

    value = ada.page.get_by_label("The new value").inner_text()
    assert value.startswith("rbu_")
    ada.page.get_by_role("link", name="Back to my tokens").click()
    revoke = ada.page.get_by_role("link", name="Revoke by-keyboard")
    expect(revoke).to_be_visible()
    assert value not in ada.page.content()
    revoke.click()
    ada.page.get_by_role("button", name="Revoke").click()
    expect(ada.page.get_by_text("The token by-keyboard is revoked.")).to_be_visible()


def test_a_lead_takes_a_person_in_and_lets_them_go(ada: Visit) -> None:
    ada.go("/my/projects/climate/")
    ada.page.get_by_label("Person").fill("viewer")
    ada.page.get_by_role("button", name="Add").click()
    expect(ada.page.get_by_text("viewer is in climate as member.")).to_be_visible()
    ada.page.get_by_role("link", name="Remove viewer").click()
    ada.page.get_by_role("button", name="Remove").click()

    expect(ada.page.get_by_text("viewer is no longer in climate.")).to_be_visible()


def test_the_keyboard_reaches_everything(ada: Visit) -> None:
    ada.go("/my/jobs/")
    ada.page.keyboard.press("Tab")
    assert ada.page.evaluate("document.activeElement.textContent") == "Skip to main content"
    seen = set()
    for _ in range(30):
        ada.page.keyboard.press("Tab")
        seen.add(ada.page.evaluate("(document.activeElement.name || document.activeElement.textContent).trim()"))
    assert {"Jobs", "Tokens", "Log out", "state", "whose", "project", "text", "Show"} <= seen
    assert any(text.isdecimal() for text in seen), "the jobs themselves"


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_clean_in_both_colors_and_fits_a_phone(
    browser: Browser, site: RainbowServer, ids: dict[str, str], address: str
) -> None:
    with visit(browser, site.web, address.format(**ids), who="ada") as visiting:
        assert bool(visiting.page.get_by_role("heading", name="Not found").count()) == ("nothing" in address)
        found = Axe().run(visiting.page).response["violations"]
        visiting.page.emulate_media(color_scheme="dark")
        # Colors that fade into others are those of neither.
        visiting.page.reload()
        found += Axe().run(visiting.page).response["violations"]
        visiting.page.set_viewport_size(PHONE)
        assert not overflows(visiting.page)
        assert not [text for text in visiting.complaints if "404" not in text]

    assert not found, [(item["id"], [node["html"][:160] for node in item["nodes"][:4]]) for item in found]
