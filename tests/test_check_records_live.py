"""`manage.py check_records` beside a server that works, and on a database whose references were broken."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from rainbow.client import Client
from rainbow.records import JobSpec
from tests.support.busy_server import busy, register
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count, execute
from tests.support.servers import MANAGE, RainbowServer, environment_for


def check(database_url: str, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [*MANAGE, "check_records", "--json", *words],
        env=environment_for(database_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == (1 if done.stdout else 0), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_nothing_is_found_while_jobs_are_submitted_and_run_and_counters_are_mended_meanwhile(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    new = register(server)

    with busy(server, new):
        sound = [check(server.database_url) for _ in range(2)]
        execute(server.database_url, "UPDATE jobs_jobcount SET jobs = jobs + 1000 WHERE state = 'cancelled'")
        broken = check(server.database_url, "--mend", "counters")
        mended = check(server.database_url)

    assert sound == [[], []]
    assert {(one["check"], one["table"]) for one in broken} == {("counters", "clusters_cluster")}
    assert mended == []
    jobs, events = count(server.database_url, "jobs_job", "jobs_jobevent")
    assert events > jobs > 20


# What breaks a reference that the databases keep, and what is said of the row.
ORPHANS = {
    "INSERT INTO jobs_joblabel (job_id, key, value) VALUES (2000000000, 'a', 'b')": (
        "jobs_joblabel",
        "job_id names a row that is not in jobs_job",
    ),
    "UPDATE jobs_jobevent SET credential_id = 2000000000 WHERE what = 'submitted'": (
        "jobs_jobevent",
        "credential_id names a row that is not in clusters_credential",
    ),
    "UPDATE jobs_job SET submitted_by_id = 2000000000": (
        "jobs_job",
        "submitted_by_id names a row that is not in clusters_credential",
    ),
    "UPDATE jobs_serves SET queue_id = 2000000000": (
        "jobs_serves",
        "queue_id names a row that is not in jobs_queue",
    ),
    "UPDATE clusters_credential SET cluster_id = 2000000000 WHERE kind = 'secret'": (
        "clusters_credential",
        "cluster_id names a row that is not in clusters_cluster",
    ),
}


@pytest.fixture
def orphaned(new_database: Callable[[], str], start_server: Callable[..., RainbowServer]) -> str:
    """A database with one job, of which each of these statements has broken something."""
    server = start_server(database_url=new_database())
    new = register(server)
    with Client(server.address, cluster="keebler", token=new.token) as submitter:
        submitter.submit_jobs([JobSpec(command="hostname")])
    server.stop()
    # Only a superuser's session that applies another server's changes is not held to the references.
    free = "SET session_replication_role = replica; " if server.database_url.startswith("postgresql:") else ""
    for statement in ORPHANS:
        execute(server.database_url, free + statement)
    return server.database_url


def test_rows_that_name_missing_ones_are_found(orphaned: str) -> None:
    found = {(one["table"], one["says"]) for one in check(orphaned)}

    assert found >= set(ORPHANS.values())
