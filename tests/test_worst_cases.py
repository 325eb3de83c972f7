"""Each call, address and page has a case with the worst honest request, or finds what it is about by its key."""

import re
from pathlib import Path

from benchmarks import worst_calls, worst_pages
from benchmarks.bench import Plan, open_bench
from benchmarks.entries.worst_case import contenders
from benchmarks.worst_world import make_world
from tests.support.servers import ROOT
from tests.support.wire import METHODS

BY_KEY = set((Path(__file__).with_name("data") / "pages_found_by_key.txt").read_text().splitlines())
# Another test compares this table with the addresses that there are.
ROWS = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", (ROOT / "docs" / "who-may.md").read_text(), re.MULTILINE))
PLAN = Plan(seconds=0.01, rounds=1, in_flight=(1,), growth=1)
JOBS, CLUSTERS = 100, 10


def test_each_call_has_a_worst_case_or_finds_what_it_is_about_by_its_key() -> None:
    assert worst_calls.CALLS.keys() | worst_calls.BY_KEY == set(METHODS)
    assert not worst_calls.CALLS.keys() & worst_calls.BY_KEY


def test_each_address_and_page_has_a_worst_case_or_finds_what_it_is_about_by_its_key() -> None:
    covered = worst_pages.PAGES.keys() | worst_pages.CHANGES.keys() | worst_pages.AS_CALLS.keys()
    assert covered | BY_KEY == ROWS
    assert not BY_KEY & covered
    assert set(worst_pages.AS_CALLS.values()) <= worst_calls.CALLS.keys()


def test_the_worst_requests_are_answered(tmp_path: Path) -> None:
    with open_bench(plan=PLAN, database="sqlite", folder=tmp_path) as bench, bench.servers_stopped():
        world = make_world(bench, JOBS, clusters=CLUSTERS)
        found = {case.name: case.measure(in_flight=1, seconds=0.01) for (case,) in contenders({"few": world})}

    assert {name for name, sample in found.items() if sample.failed or not sample.calls} == set()
