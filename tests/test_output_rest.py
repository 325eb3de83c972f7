"""What jobs wrote, over REST and on the pages of jobs."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from shlex import quote
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, expect

from clusters.callers import Party
from jobs.rest.long_poll import MAX_WAITING
from jobs.services.output_parts import MOST_AT_ONCE, MOST_WAITING, Readers
from rainbow.errors import LimitReached
from rainbow_site.web_server.server import THREADS
from tests.support.agents import Crew, crew
from tests.support.browser import CHROMIUM, chromium, fill_with_demo, visit
from tests.support.executors import until_there
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer, start_rainbow
from tests.support.wire import Remote, joined
from tests.support.wishes import at_work, run_at, wishes_of

ALICE, BOB, CAROL = (Party("person", number) for number in range(3))


@pytest.fixture
def cluster(web_server: RainbowServer) -> Iterator[Remote]:
    with joined(web_server) as remote:
        yield remote


@pytest.fixture
def agent(web_server: RainbowServer, cluster: Remote, tmp_path: Path) -> Iterator[Crew]:
    with crew(cluster, web_server.address, tmp_path / "state") as made, at_work(made):
        yield made


@pytest.fixture(scope="module")
def site(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """One with people, and a single web process."""
    url = new_database()
    fill_with_demo(url, jobs=200)
    running = start_rainbow(database_url=url, log=tmp_path_factory.mktemp("site") / "log", with_web=True)
    yield running
    running.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def team(site: RainbowServer) -> Iterator[Remote]:
    with joined(site) as remote:
        yield remote


@pytest.fixture
def team_agent(site: RainbowServer, team: Remote, tmp_path: Path) -> Iterator[Crew]:
    with crew(team, site.address, tmp_path / "state") as made, at_work(made):
        yield made


def get(server: RainbowServer, path: str, credential: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    request = Request(f"{server.web}/api/v1/{path}", headers={"Authorization": f"Bearer {credential}", **headers})
    try:
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_an_output_comes_in_parts(web_server: RainbowServer, cluster: Remote, agent: Crew) -> None:
    jobid = agent.submit("head -c 1500000 /dev/zero; echo trouble >&2")
    wait_until(lambda: agent.job(jobid).finished_at is not None)
    path = f"jobs/{jobid}/output"

    status, first, headers = get(web_server, path, cluster.token)
    _, second, last = get(web_server, f"{path}?from={headers['X-Rainbow-Next']}", cluster.token)
    _, errors, _ = get(web_server, f"{path}?source=stderr", cluster.token)

    assert (status, len(first), headers["X-Rainbow-More"], headers["X-Rainbow-Attempt"]) == (200, 1048576, "true", "1")
    assert (len(second), last["X-Rainbow-More"]) == (1500000 - 1048576, "false")
    assert errors == b"trouble\n"


def test_a_range_of_an_output(web_server: RainbowServer, cluster: Remote, agent: Crew) -> None:
    jobid = agent.submit("printf 0123456789")
    wait_until(lambda: agent.job(jobid).finished_at is not None)

    def ranged(which: str) -> tuple[int, bytes, str | None]:
        status, data, headers = get(web_server, f"jobs/{jobid}/output", cluster.token, Range=which)
        return status, data, headers.get("Content-Range")

    assert ranged("bytes=2-4") == (206, b"234", "bytes 2-4/*")
    assert ranged("bytes=7-") == (206, b"789", "bytes 7-9/*")
    assert ranged("bytes=-3") == (206, b"789", "bytes 7-9/*")
    assert ranged("bytes=100-") == (416, b"", "bytes */*")
    assert ranged("bytes=1-2,4-5") == (200, b"0123456789", None)
    assert ranged("bytes=-0") == (416, b"", "bytes */*")
    assert ranged("bytes=5-2") == (200, b"0123456789", None)


def test_a_file_of_a_job_comes_as_its_output_does(web_server: RainbowServer, cluster: Remote, agent: Crew) -> None:
    jobid = agent.submit("mkdir x; printf 0123456789 > x/y", outputs=("x",))
    wait_until(lambda: agent.job(jobid).finished_at is not None)
    path = f"jobs/{jobid}/output"

    status, data, headers = get(web_server, f"{path}?source=file&file=x/y", cluster.token)
    ranged = get(web_server, f"{path}?source=file&file=x/y", cluster.token, Range="bytes=2-4")
    listing = get(web_server, f"{path}?source=listing", cluster.token)
    record = get(web_server, f"jobs/{jobid}", cluster.token)

    assert (status, data, headers["X-Rainbow-More"]) == (200, b"0123456789", "false")
    assert (headers["Content-Disposition"], headers["X-Content-Type-Options"]) == ("attachment", "nosniff")
    assert ranged[:2] == (206, b"234")
    assert listing[1] == b'{"name": "x/y", "size": 10}\n'
    assert json.loads(record[1])["output_files"] == {"files": [{"name": "x/y", "size": 10}], "more": False}
    assert get(web_server, f"{path}?source=file", cluster.token)[0] == 400
    assert get(web_server, f"{path}?source=file&file=../output", cluster.token)[0] == 400
    assert get(web_server, f"{path}?source=file&file=x/z", cluster.token)[0] == 409


def test_who_may_not_see_a_job_gets_the_answer_of_one_that_is_not_there(
    web_server: RainbowServer, cluster: Remote, agent: Crew
) -> None:
    jobid = agent.submit("echo secret")
    wait_until(lambda: agent.job(jobid).finished_at is not None)

    with joined(web_server) as stranger:
        answers = [get(web_server, f"jobs/{number}/output", stranger.token)[:2] for number in (jobid, 2**31 - 1)]
    of_another, of_none = [{**json.loads(words), "instance": "", "request_id": ""} for _, words in answers]
    assert [status for status, _ in answers] == [404, 404]
    assert of_another == of_none


def test_an_agent_that_is_away_is_told_in_time(web_server: RainbowServer, cluster: Remote) -> None:
    jobid = run_at(cluster, agent="login1")

    status, words, _ = get(web_server, f"jobs/{jobid}/output", cluster.token)

    assert status == 409
    assert b"did not answer" in words


def test_who_reads_waits_while_others_wait_for_an_agent_that_is_away(
    site: RainbowServer, team: Remote, team_agent: Crew
) -> None:
    written = team_agent.submit("echo written")
    wait_until(lambda: team_agent.job(written).finished_at is not None)
    with joined(site) as away, ThreadPoolExecutor() as others:
        jobid = run_at(away, agent="login1")
        held = [others.submit(get, site, f"jobs/{jobid}/output", away.token) for _ in range(MOST_AT_ONCE)]
        wait_until(lambda: len(wishes_of(away, agent="login1")) == MOST_AT_ONCE or all(one.done() for one in held))

        status, data, _ = get(site, f"jobs/{written}/output", team.token)

    assert (status, data) == (200, b"written\n")
    assert [one.result()[0] for one in held] == [409] * MOST_AT_ONCE


def test_as_many_as_may_wait_do_and_others_are_refused() -> None:
    readers = Readers(at_once=1, waiting=1, seconds=PATIENCE_SECONDS)
    ended: Queue[str] = Queue()

    def come(party: Party) -> None:
        try:
            with readers.admitted(party):
                ended.put("had its turn")
        except LimitReached as error:
            ended.put(error.message)

    with ThreadPoolExecutor() as others:
        with readers.admitted(ALICE):
            for party in (BOB, CAROL):
                others.submit(come, party)
            first = ended.get(timeout=PATIENCE_SECONDS)
        then = ended.get(timeout=PATIENCE_SECONDS)

    assert (first, then) == ("so many outputs are read here already", "had its turn")


def test_calls_that_wait_leave_threads_to_others() -> None:
    assert MOST_AT_ONCE + MOST_WAITING + MAX_WAITING <= THREADS - 2


def test_nobody_waits_for_a_turn_for_ever() -> None:
    readers = Readers(at_once=1, waiting=1, seconds=0.01)

    with readers.admitted(ALICE), pytest.raises(LimitReached, match="are read here"), readers.admitted(BOB):
        pass

    with readers.admitted(BOB):
        pass


def test_who_reads_much_leaves_others_a_place_to_wait() -> None:
    readers = Readers(at_once=2, waiting=1, seconds=0.01)

    with readers.admitted(ALICE), readers.admitted(ALICE):
        with pytest.raises(LimitReached, match="so many outputs are read for this person already"):
            readers.admitted(ALICE).__enter__()
        with pytest.raises(LimitReached, match="so many outputs are read here already"):
            readers.admitted(BOB).__enter__()

    with readers.admitted(ALICE), readers.admitted(BOB):
        pass


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_the_page_of_a_job_follows_what_it_writes(
    site: RainbowServer, team_agent: Crew, browser: Browser, tmp_path: Path
) -> None:
    name = "<b>'one two'&#.csv"
    command = (
        f"echo begun; echo trouble >&2; {until_there(tmp_path / 'go')}; echo '<b>over</b>'; echo 1 > {quote(name)}"
    )
    jobid = team_agent.submit(command, outputs=("*.csv",))
    wait_until(lambda: str(team_agent.job(jobid).state) == "running")
    with visit(browser, site.web) as visiting:
        visiting.go(f"/admin/jobs/job/{jobid}/change/")
        output = visiting.page.locator("[data-source=stdout]")
        expect(output).to_have_text("begun\n")
        expect(visiting.page.locator("[data-source=stderr]")).to_have_text("trouble\n")
        (tmp_path / "go").touch()
        expect(output).to_contain_text("<b>over</b>")
        wait_until(lambda: team_agent.job(jobid).finished_at is not None)
        visiting.go(f"/admin/jobs/job/{jobid}/change/")
        with visiting.page.expect_download() as download:
            visiting.page.get_by_role("link", name=name).click()
        assert download.value.path().read_text() == "1\n"
        assert download.value.suggested_filename.endswith(".csv")
        assert not visiting.complaints
