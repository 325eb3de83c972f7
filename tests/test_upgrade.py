"""From an earlier release to this one: servers of both on one migrated database, and the way back."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from django.db import connection

from rainbow import __version__
from rainbow.client import Client
from rainbow.facts import Facts
from rainbow.records import Job, JobState
from tests.support.patience import PATIENCE_SECONDS
from tests.support.releases import RELEASES, Release, run_rainbow, unpacked
from tests.support.rows import execute
from tests.support.servers import MANAGE, RainbowServer, environment_for, migrate, start_rainbow
from tests.support.upgrade import WAITING, Cluster, filled, report, submissions, submit, told
from tests.support.wire import eventually

# The last migrations of each release.
LAST_MIGRATIONS = {"0.1.0": (("jobs", "0009_bulk_action"), ("clusters", "0009_streaks"))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A database that a server of `release` filled, with that server, `old`, and one of this release, `new`."""

    release: Release
    old: RainbowServer
    new: RainbowServer
    cluster: Cluster
    # All jobs as the earlier server showed them before the upgrade.
    before: dict[int, Job]
    # With the jobs that the earlier server took while the database was migrated; None where it did not run.
    meanwhile: Cluster | None

    def job(self, name: str) -> Job:
        return self.cluster.shown(self.new)[self.cluster.ids[name]]


@pytest.fixture(scope="module", params=RELEASES)
def upgrade(
    request: pytest.FixtureRequest, empty_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgrade]:
    """SQLite's servers migrate when they start alone, so that the earlier server of this machine is started again."""
    folder, url = tmp_path_factory.mktemp("upgrade"), empty_database()
    release = unpacked(request.param, folder / "release")
    with ExitStack() as stack:

        def running(server: RainbowServer) -> RainbowServer:
            stack.callback(server.kill)
            return server

        release.migrate(url)
        old = running(release.start_server(database_url=url, log=folder / "old"))
        cluster = filled(old, "keebler")
        before = cluster.shown(old)
        meanwhile = None
        if connection.vendor == "sqlite":
            old.stop()
            migrate(url)
        else:
            with submissions(old, "meanwhile") as meanwhile:
                migrate(url)
        new = running(start_rainbow(database_url=url, log=folder / "new"))
        if connection.vendor == "sqlite":
            old = running(release.start_server(database_url=url, log=folder / "old"))
        yield Upgrade(release=release, old=old, new=new, cluster=cluster, before=before, meanwhile=meanwhile)


def test_all_jobs_are_shown_as_they_were(upgrade: Upgrade) -> None:
    states = {name: upgrade.before[id].state for name, id in upgrade.cluster.ids.items()}
    assert set(states.values()) == set(JobState) - {JobState.UNSPECIFIED, JobState.BLOCKED}

    assert upgrade.cluster.shown(upgrade.new) == upgrade.before
    assert upgrade.cluster.shown(upgrade.old) == upgrade.before


def test_what_was_submitted_while_the_database_was_migrated_is_there_and_offered(upgrade: Upgrade) -> None:
    if upgrade.meanwhile is None:
        pytest.skip("servers on SQLite stop for it")
    wanted = sorted(upgrade.meanwhile.ids.values())

    with upgrade.meanwhile.client(upgrade.new) as client:
        found = client.get_jobs(wanted)
        assert {job.state for job in found.jobs} == {JobState.QUEUED}
        assert found.missing == ()
        eventually(lambda: [job.id for job in client.request_jobs(max_jobs=len(wanted)).jobs] == wanted)


def test_jobs_that_wait_are_offered_in_their_order_by_both(upgrade: Upgrade) -> None:
    ids = upgrade.cluster.ids
    wanted = [ids["large"], ids["requeued"], ids["small"], ids["tagged"]]

    for server in (upgrade.old, upgrade.new):
        with upgrade.cluster.client(server) as client:
            eventually(lambda: [job.id for job in client.request_jobs().jobs][:4] == wanted)
            assert ids["large"] not in {job.id for job in client.request_jobs(max_nodes=4).jobs}


def test_what_one_server_takes_the_other_does_not_offer(upgrade: Upgrade) -> None:
    for name, taker, other in (("mine", upgrade.new, upgrade.old), ("yours", upgrade.old, upgrade.new)):
        with upgrade.cluster.client(taker) as mine, upgrade.cluster.client(other) as theirs:
            jobid = submit(theirs, name)
            eventually(lambda: jobid in {job.id for job in mine.request_jobs().jobs})  # noqa: B023
            assert [job.jobid for job in mine.accept_jobs([jobid], agent="login1").accepted] == [jobid]

            assert jobid not in {job.id for job in theirs.request_jobs().jobs}
            assert theirs.accept_jobs([jobid], agent="login2").accepted == ()
            report(theirs, told(jobid, JobState.RUNNING))
            report(mine, told(jobid, JobState.COMPLETED))
            assert theirs.get_jobs([jobid]).jobs[0].state == JobState.COMPLETED


def test_running_jobs_are_reported_to_their_end(upgrade: Upgrade) -> None:
    with upgrade.cluster.client(upgrade.new) as client:
        report(client, told(upgrade.cluster.ids["accepted"], JobState.COMPLETED))
        report(client, told(upgrade.cluster.ids["running"], JobState.FAILED))

    accepted, running = upgrade.job("accepted"), upgrade.job("running")
    assert (accepted.state, accepted.exit_code) == (JobState.COMPLETED, 0)
    assert (running.state, running.exit_code, running.output) == (JobState.FAILED, 7, "done\n")


def test_a_cancel_from_before_reaches_the_agent(upgrade: Upgrade) -> None:
    stopping = upgrade.cluster.ids["stopping"]
    with upgrade.cluster.client(upgrade.new) as client:
        (result,) = client.report_jobs([told(stopping, JobState.RUNNING)], agent="login1")

    assert result.cancel


def test_a_lost_job_is_found_again(upgrade: Upgrade) -> None:
    with upgrade.cluster.client(upgrade.new) as client:
        report(client, told(upgrade.cluster.ids["lost"], JobState.RUNNING))

    assert upgrade.job("lost").state == JobState.RUNNING


def test_what_ran_and_ended_is_counted_by_both(upgrade: Upgrade) -> None:
    url = upgrade.new.database_url
    rows = execute(url, "SELECT state, COUNT(*) FROM jobs_job GROUP BY state ORDER BY state")

    assert (
        execute(url, "SELECT state, SUM(jobs) FROM jobs_jobcount GROUP BY state HAVING SUM(jobs) > 0 ORDER BY state")
        == rows
    )


def test_servers_of_before_show_jobs_that_ask_for_what_they_do_not_know(upgrade: Upgrade) -> None:
    with upgrade.cluster.client(upgrade.new) as client:
        client.report_jobs([], agent="login1", facts=Facts(values={"os": "debian"}))
        large = submit(client, "large", gpus_per_task=2, hold_if_unservable=True)
        late = submit(client, "late", expires_at=datetime.now(UTC) + timedelta(hours=1), nodes=3)
        # A job whose time is up already is not taken, and a busy machine may take long to submit it.
        expires = "UPDATE jobs_job SET expires_at = %s WHERE id = %s"
        execute(upgrade.new.database_url, expires, [datetime.now(UTC), late])
        eventually(lambda: client.get_jobs([late]).jobs[0].state == JobState.FAILED)

    with upgrade.cluster.client(upgrade.old) as client:
        found = client.get_jobs([large, late], with_events=True).jobs
        listed = [job.id for job in islice(client.list_jobs(), 2)]
        assert large in {job.id for job in client.request_jobs().jobs}

    assert [job.state for job in found] == [JobState.QUEUED, JobState.FAILED]
    assert found[1].events[-1].what == "expired"
    assert listed == [late, large]


@pytest.mark.parametrize("newer", ["agent", "server"])
def test_agents_and_command_lines_work_with_servers_of_the_other_release(
    upgrade: Upgrade, newer: str, tmp_path: Path
) -> None:
    server = upgrade.new if newer == "server" else upgrade.old
    rainbow = upgrade.release.rainbow if newer == "server" else run_rainbow
    with Client(server.address) as stranger:
        new = stranger.register(f"newer-{newer}", registration_secret=server.registration_secret)
    settings = {
        "RAINBOW_HOST": server.address,
        "RAINBOW_CLUSTER": new.cluster,
        "RAINBOW_CONFIG": str(tmp_path / "none"),
    }

    submitted = rainbow("submit", "--json", "--", "echo", "done", RAINBOW_TOKEN=new.token, **settings)
    words = ("agent", "--executor", "local", "--slots", "4", "--state-dir", str(tmp_path / "state"), "--once")
    ran = rainbow(*words, RAINBOW_SECRET=new.secret, **settings)

    assert ran.returncode == 0, submitted.stderr + ran.stderr
    logs = rainbow("logs", str(json.loads(submitted.stdout)["jobid"]), RAINBOW_TOKEN=new.token, **settings)
    assert (logs.returncode, logs.stdout) == (0, "done\n")


def test_the_version_of_a_server_of_before_is_not_known(upgrade: Upgrade, tmp_path: Path) -> None:
    settings = {"RAINBOW_HOST": upgrade.old.address, "RAINBOW_CONFIG": str(tmp_path / "none")}

    assert run_rainbow("version", **settings).stdout == f"rainbow {__version__}\nserver  0.1 or older\n"
    told = upgrade.release.rainbow("version", **settings)
    assert told.stdout == f"rainbow {upgrade.release.version}\n"


def test_the_way_back(upgrade: Upgrade) -> None:
    """The last test: it ends the servers of this release."""
    before = upgrade.cluster.shown(upgrade.new)
    upgrade.new.stop()
    upgrade.old.stop()
    url = upgrade.new.database_url
    for app, migration in LAST_MIGRATIONS[upgrade.release.version]:
        command = [*MANAGE, "migrate", "--verbosity=0", app, migration]
        subprocess.run(command, env=environment_for(url), check=True, timeout=PATIENCE_SECONDS)

    again = upgrade.release.start_server(database_url=url, log=upgrade.old.log)
    try:
        assert upgrade.cluster.shown(again) == before
        with upgrade.cluster.client(again) as client:
            assert {upgrade.cluster.ids[name] for name in WAITING} < {job.id for job in client.request_jobs().jobs}
            assert submit(client, "after") > max(before)
    finally:
        again.kill()
