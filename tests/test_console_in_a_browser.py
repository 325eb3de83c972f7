"""The operators' console in a real browser. Skipped, and said so, where there is no Chromium."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import CHROMIUM, PHONE, Visit, chromium, fill_with_demo, visit
from tests.support.servers import RainbowServer, start_rainbow

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]

PAGES = [
    "/admin/",
    "/admin/clusters/cluster/",
    "/admin/clusters/cluster/1/change/",
    "/admin/jobs/job/",
    "/admin/jobs/job/?state=failed&cluster=3",
    "/admin/jobs/job/1/change/",
    "/admin/jobs/job/act/move/?id=1",
    "/admin/jobs/job/1/signal/",
    "/admin/jobs/job/groups/",
    "/admin/jobs/webhook/",
    "/admin/jobs/webhook/?project=1",
    "/admin/jobs/webhook/new/1/",
    "/admin/jobs/job/bulk/begin/prioritize/?state=queued",
    "/admin/clusters/cluster/act/pause/?id=1",
    "/admin/clusters/cluster/credential/1/rotate/",
    "/admin/clusters/cluster/1/credential/new/",
    "/admin/clusters/cluster/pool/new/",
    "/admin/clusters/cluster/13/change/",
    "/admin/clusters/cluster/13/members/",
    "/admin/clusters/project/",
    "/admin/clusters/project/1/change/",
    "/admin/clusters/project/1/token/new/",
    "/admin/auth/user/1/person/",
]
# The silent cluster has jobs queued at every time of day; others have some by chance.
PRIORITIZE_SOME = "/admin/jobs/job/bulk/begin/prioritize/?state=queued&cluster=1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def console(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    url = new_database()
    fill_with_demo(url, jobs=4_000)
    running = start_rainbow(database_url=url, log=tmp_path_factory.mktemp("console") / "log", with_web=True)
    yield running
    running.stop()


@pytest.fixture
def olga(browser: Browser, console: RainbowServer) -> Iterator[Visit]:
    """An operator at a desk; nothing that she does may make the browser complain."""
    with visit(browser, console.web) as visiting:
        yield visiting
        assert not visiting.complaints


def overflows(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_the_dashboard_is_read_at_a_glance(olga: Visit) -> None:
    expect(olga.page.get_by_role("heading", name="Needs attention")).to_be_visible()
    expect(olga.page.get_by_text("keebler is silent")).to_be_visible()
    expect(olga.page.get_by_role("img", name="Last hour:")).to_be_visible()
    expect(olga.page.get_by_role("row", name="juniper paused")).to_be_visible()


def test_the_table_behind_a_chart_stays_open_when_the_page_refreshes(olga: Visit) -> None:
    page = olga.page
    page.get_by_text("Last day as a table").click()
    page.get_by_text("Last day as a table").focus()
    before = page.locator("#now").inner_text()

    expect(page.locator("#now")).not_to_have_text(before)

    expect(page.get_by_role("columnheader", name="submitted").locator("visible=true")).to_have_count(1)
    assert page.evaluate("document.activeElement.textContent") == "Last day as a table"


def test_what_holds_still_does_not_refresh(olga: Visit) -> None:
    page = olga.page
    page.clock.install()
    olga.go("/admin/")
    page.get_by_label("Hold still").check()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.resource_type))

    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.clock.run_for(60_000)

    page.get_by_label("Hold still").uncheck()
    with page.expect_request("**/admin/"):
        page.clock.run_for(5_000)
    assert asked.count("fetch") == 1


def test_what_is_pressed_while_a_page_refreshes_is_clicked(olga: Visit) -> None:
    page = olga.page
    page.clock.install()
    olga.go("/admin/")
    link = page.locator("[data-live] a").first
    link.hover()

    page.mouse.down()
    with page.expect_response("**/admin/") as answer:
        page.clock.run_for(5_000)
    answer.value.finished()
    # Behind what the page does with the answer.
    page.evaluate("async () => { await (await fetch('/healthz')).text() }")
    address = link.get_attribute("href")
    with page.expect_navigation():
        page.mouse.up()

    assert address is not None
    assert page.url.endswith(address)


def test_a_page_whose_answer_is_slow_is_not_asked_for_again_meanwhile(olga: Visit) -> None:
    """Else the slow answer would replace those that were asked for later."""
    page = olga.page
    page.clock.install()
    olga.go("/admin/")
    asked: list[Route] = []
    page.route("**/admin/", lambda route: asked.append(route))

    with page.expect_request("**/admin/"):
        page.clock.run_for(5_000)
    page.clock.run_for(15_000)
    # Behind what the page asks.
    page.evaluate("async () => { await (await fetch('/healthz')).text() }")
    slow = list(asked)
    for route in slow:
        route.continue_()
    page.unroute("**/admin/")
    with page.expect_request("**/admin/"):
        page.clock.run_for(5_000)

    assert len(slow) == 1


def test_focus_stays_on_the_same_link_when_others_come_before_it(olga: Visit) -> None:
    page = olga.page
    page.clock.install()
    olga.go("/admin/")
    first, second = (page.locator("#fleet tbody tr").nth(place).locator("a").first for place in (0, 1))
    gone, kept = first.get_attribute("href"), second.get_attribute("href")
    second.focus()
    page.route("**/admin/", lambda route: route.fulfill(body=_without_first_row(route.fetch().text())))

    page.clock.run_for(5_000)

    expect(page.locator(f"#fleet tbody a[href='{gone}']")).to_have_count(0)
    assert page.evaluate("document.activeElement.getAttribute('href')") == kept


def _without_first_row(page: str) -> str:
    begin = page.index("<tr", page.index("<tbody", page.index('id="fleet"')))
    return page[:begin] + page[page.index("</tr>", begin) + len("</tr>") :]


def test_what_is_no_longer_there_is_said_to_be_gone(browser: Browser, console: RainbowServer) -> None:
    with visit(browser, console.web) as visiting:
        visiting.page.clock.install()
        visiting.go("/admin/jobs/job/1/change/")
        visiting.page.route("**/job/1/change/", lambda route: route.fulfill(status=404))
        visiting.page.clock.run_for(5_000)

        expect(
            visiting.page.get_by_text("What this page shows is no longer there: what you see is old.")
        ).to_be_visible()


def begin_to_prioritize(visiting: Visit) -> None:
    visiting.go(PRIORITIZE_SOME)
    visiting.page.get_by_label("Priority").fill("5")
    visiting.page.get_by_label("Reason").fill("late")
    visiting.page.get_by_role("button", name="Change").click()


def begin_to_prioritize_without_answers(visiting: Visit) -> None:
    visiting.page.route("**/step/", lambda route: route.fulfill(status=503))
    begin_to_prioritize(visiting)
    expect(visiting.page.get_by_text("The server does not answer: what you see is old.")).to_be_visible()


def test_who_is_signed_out_while_all_are_acted_on_is_asked_to_sign_in(browser: Browser, console: RainbowServer) -> None:
    with visit(browser, console.web) as visiting:
        page = visiting.page
        begin_to_prioritize_without_answers(visiting)
        page.context.clear_cookies(name="sessionid")
        page.unroute("**/step/")

        expect(page.locator("#id_password")).to_be_visible()


def test_a_step_that_is_not_answered_is_tried_again(browser: Browser, console: RainbowServer) -> None:
    with visit(browser, console.web) as visiting:
        page = visiting.page
        begin_to_prioritize_without_answers(visiting)
        page.unroute("**/step/")
        expect(page.get_by_text("Done.")).to_be_visible()


@pytest.mark.parametrize("answer", [{"status": 403}, {"status": 200, "body": "blocked"}], ids=["forbidden", "blocked"])
def test_a_step_that_is_refused_once_more_ends_the_steps(
    browser: Browser, console: RainbowServer, answer: dict[str, Any]
) -> None:
    with visit(browser, console.web) as visiting:
        page = visiting.page
        loaded: list[str] = []
        page.on("framenavigated", lambda frame: loaded.append(frame.url))
        steps: list[Route] = []

        def refuse(route: Route) -> None:
            steps.append(route)
            route.fulfill(**answer)

        page.route("**/step/", refuse)
        begin_to_prioritize(visiting)

        expect(page.get_by_text("The server refuses to go on. Load the page again")).to_be_visible()
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        assert len(steps) == 2
        assert [address for address in loaded if address == page.url] == [page.url]


def test_a_step_whose_form_is_of_an_earlier_session_is_tried_with_one_of_this(
    browser: Browser, console: RainbowServer
) -> None:
    with visit(browser, console.web) as visiting:
        page = visiting.page
        begin_to_prioritize_without_answers(visiting)
        # As signing in again, on another page, does.
        page.context.add_cookies([{"name": "csrftoken", "value": "x" * 32, "url": console.web}])
        page.unroute("**/step/")

        expect(page.get_by_text("Done.")).to_be_visible()


def test_who_may_no_longer_go_on_is_offered_no_step(browser: Browser, console: RainbowServer) -> None:
    with visit(browser, console.web) as visiting:
        page = visiting.page
        begin_to_prioritize_without_answers(visiting)
        page.route("**/bulk/*/", lambda route: route.fulfill(body=_without_forms(route.fetch().text())))
        page.unroute("**/step/")
        page.route("**/step/", lambda route: route.fulfill(status=403))

        expect(page.get_by_role("button", name="Stop")).to_have_count(0)
        expect(page.locator("#stale")).to_be_empty()


def _without_forms(page: str) -> str:
    return re.sub("<form.*?</form>", "", page, flags=re.DOTALL)


def test_a_server_that_is_gone_is_noticed(browser: Browser, console: RainbowServer) -> None:
    with visit(browser, console.web) as visiting:
        visiting.page.clock.install()
        visiting.go("/admin/")
        visiting.page.context.set_offline(True)
        visiting.page.clock.run_for(5_000)

        expect(visiting.page.get_by_text("what you see is old")).to_be_visible()


def test_a_cluster_is_paused_with_a_reason(olga: Visit) -> None:
    olga.page.get_by_role("link", name="cassava", exact=True).click()
    olga.page.get_by_role("button", name="Pause…").click()
    olga.page.get_by_label("Reason").fill("a leak in the cooling")
    olga.page.get_by_role("button", name="Pause").click()

    expect(olga.page.get_by_text("cassava is paused.")).to_be_visible()
    expect(olga.page.get_by_text("a leak in the cooling").first).to_be_visible()
    olga.page.get_by_role("button", name="Resume…").click()
    olga.page.get_by_label("Reason").fill("dry again")
    olga.page.get_by_role("button", name="Resume").click()
    expect(olga.page.get_by_text("cassava is resumed.")).to_be_visible()


def test_a_pool_is_made_by_keyboard_alone_and_changed(olga: Visit) -> None:
    olga.go("/admin/clusters/cluster/pool/new/")
    keyboard = olga.page.keyboard
    olga.page.get_by_label("Name").focus()
    for typed in ("two-gpus", "room is scarce", "2", "kestrel", "300", "1", "dorado-gpu"):
        keyboard.type(typed)
        keyboard.press("Tab")
    keyboard.press("Enter")
    expect(olga.page.get_by_label("The new value")).to_have_text(re.compile("^rbt_"))
    olga.page.get_by_role("link", name="Back to two-gpus").click()

    rows = olga.page.locator("#members tbody tr")
    expect(rows.nth(0)).to_contain_text("dorado-gpu")
    expect(rows.nth(1)).to_contain_text("kestrel")
    expect(rows.nth(1)).to_contain_text("5 minutes")
    olga.page.get_by_role("link", name="Change clusters…").click()
    olga.page.get_by_label("Cluster in row 2").fill("")
    olga.page.get_by_label("Reason").fill("one is enough")
    olga.page.get_by_role("button", name="Change", exact=True).click()
    expect(olga.page.get_by_text("two-gpus is changed.")).to_be_visible()
    expect(olga.page.locator("#members tbody tr")).to_have_count(1)


def test_all_that_match_are_cancelled_while_one_watches(olga: Visit) -> None:
    olga.go("/admin/jobs/job/")
    olga.page.get_by_label("State").select_option("queued")
    olga.page.get_by_label("Cluster", exact=True).select_option(label="juniper")
    olga.page.get_by_role("button", name="Show").click()
    olga.page.get_by_role("button", name="Cancel all…").click()
    olga.page.get_by_label("Reason").fill("submitted twice")
    olga.page.get_by_role("button", name="Cancel").click()

    expect(olga.page.get_by_text("Done.")).to_be_visible()
    olga.go("/admin/jobs/job/?state=queued&cluster=7")
    expect(olga.page.get_by_text("No job.")).to_be_visible()


def test_what_can_change_nothing_is_not_offered(olga: Visit) -> None:
    olga.go("/admin/jobs/job/?state=failed")
    expect(olga.page.get_by_text("These jobs are final: no action can change them")).to_be_visible()
    expect(olga.page.get_by_role("button", name="Requeue")).to_have_count(0)

    # Some wait at every time of day; lost ones, which a requeue would change, are there by chance.
    olga.go("/admin/jobs/job/bulk/begin/cancel/")
    expect(olga.page.get_by_role("button", name="Cancel")).to_have_text(re.compile(r"^Cancel [\d,]+ of [\d,]+ jobs$"))


def test_a_new_value_is_shown_once(olga: Visit) -> None:
    olga.go("/admin/clusters/cluster/1/change/")
    olga.page.get_by_role("link", name="Rotate token portal").click()
    olga.page.get_by_label("Reason").fill("it leaked")
    olga.page.get_by_role("button", name="Rotate").click()

    value = olga.page.get_by_label("The new value").inner_text()
    assert value.startswith("rbt_")
    olga.page.get_by_role("link", name="Back to").click()
    expect(olga.page.get_by_role("link", name="Rotate token portal")).to_be_visible()
    assert value not in olga.page.content()


def test_a_credential_is_made_and_the_page_says_by_whom(olga: Visit) -> None:
    olga.go("/admin/clusters/cluster/2/change/")
    olga.page.get_by_role("link", name="New credential…").click()
    olga.page.get_by_label("Kind").select_option("secret")
    olga.page.get_by_label("Label").fill("second-agent")
    olga.page.get_by_label("Reason").fill("a second login node")
    olga.page.get_by_role("button", name="Make").click()

    assert olga.page.get_by_label("The new value").inner_text().startswith("rbs_")
    olga.page.get_by_role("link", name="Back to").click()
    expect(olga.page.get_by_text("operator made secret second-agent: a second login node")).to_be_visible()
    expect(olga.page.get_by_role("row", name="secret second-agent").get_by_text("by operator")).to_be_visible()


def test_the_keyboard_reaches_everything(olga: Visit) -> None:
    olga.page.keyboard.press("Tab")
    assert olga.page.evaluate("document.activeElement.textContent") == "Skip to main content"
    seen = set()
    for _ in range(40):
        olga.page.keyboard.press("Tab")
        seen.add(olga.page.evaluate("document.activeElement.textContent.trim()"))
    assert {"Dashboard", "Clusters", "Jobs"} <= seen
    assert any(text.startswith("keebler is silent") for text in seen)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_clean_in_both_colors_and_fits_a_phone(
    browser: Browser, console: RainbowServer, address: str
) -> None:
    with visit(browser, console.web, address) as visiting:
        found = Axe().run(visiting.page).response["violations"]
        visiting.page.emulate_media(color_scheme="dark")
        # Colors that fade into others are those of neither.
        visiting.page.reload()
        found += Axe().run(visiting.page).response["violations"]
        visiting.page.set_viewport_size(PHONE)
        assert not overflows(visiting.page)
        assert not visiting.complaints

    serious = [item for item in found if item["impact"] in ("serious", "critical")]
    assert not serious, [(item["id"], [node["html"][:160] for node in item["nodes"][:4]]) for item in serious]


@pytest.mark.parametrize(
    ("dark", "theme", "expected"),
    [
        (False, "auto", "light"),
        (True, "auto", "dark"),
        (False, "dark", "dark"),
        (True, "light", "light"),
    ],
)
def test_the_browser_chooses_the_colors_unless_the_switch_does(
    browser: Browser, console: RainbowServer, dark: bool, theme: str, expected: str
) -> None:
    with visit(browser, console.web, dark=dark) as visiting:
        visiting.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        color = visiting.page.evaluate("getComputedStyle(document.body).backgroundColor")

    brightness = sum(int(part) for part in color.strip("rgb()").split(","))
    assert (brightness < 120) == (expected == "dark")


def test_a_viewer_has_no_buttons(browser: Browser, console: RainbowServer, tmp_path: Path) -> None:
    with visit(browser, console.web, "/admin/clusters/cluster/1/change/", who="viewer") as visiting:
        expect(visiting.page.get_by_role("heading", name="keebler")).to_be_visible()
        expect(visiting.page.get_by_role("button", name="Pause…")).to_have_count(0)
        expect(visiting.page.get_by_role("link", name="Rotate")).to_have_count(0)
