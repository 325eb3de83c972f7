"""`manage.py export` and `import` move all records between databases of both kinds."""

import gzip
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.apps import apps

from rainbow.client import Client
from rainbow.records import JobSpec
from rainbow_site.copies.tables import KINDS, tables
from tests.support.databases import SqliteDatabases
from tests.support.manual import typed
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import add_token, count, execute
from tests.support.servers import MANAGE, RainbowServer, environment_for

CLUSTER = "keebler"


def manage(database_url: str, *words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*MANAGE, *map(str, words)],
        env=environment_for(database_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def done(database_url: str, *words: object) -> str:
    finished = manage(database_url, *words)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def as_the_manual_says(urls: list[str], *, file: Path) -> str:
    """Types the commands of the manual, with these databases in turn; returns what the first printed."""
    said = []
    for line in typed("backup.md", "Move to another database", "manage.py export"):
        if line.startswith("export DATABASE_URL="):
            url = urls.pop(0)
        else:
            words = shlex.split(line.replace("/var/backups/rainbow/move", str(file)))
            assert words[:2] == ["python", "manage.py"]
            said.append(done(url, *words[2:]))
    assert said[-1] == "The records agree with one another.\n"
    return said[0]


@pytest.fixture(scope="module")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory, shared_folder: Path) -> SqliteDatabases:
    """Of SQLite on whatever the suite runs."""
    return SqliteDatabases(tmp_path_factory.mktemp("sqlite"), shared=shared_folder)


@pytest.fixture(scope="module")
def source(sqlite_databases: SqliteDatabases) -> str:
    """A SQLite database with a fleet that is made up, and accounts."""
    url = sqlite_databases.new()
    done(url, "demo", "--jobs", 300, "--clusters", 4)
    execute(url, "INSERT INTO clusters_failedattempts (source, began_at, failures) VALUES ('a\"\\é', '2026-11-01', 1)")
    execute(
        url, r"""UPDATE jobs_job SET environment = '{"A": "C:\\u0000 \ud83d\ude00 \u00e9", "é": ""}' WHERE id < 9"""
    )
    execute(
        url,
        "INSERT INTO django_admin_log (action_time, object_repr, action_flag, change_message, user_id) "
        "SELECT '2026-11-01 12:00:00.5', 'job 1', 2, 'cancelled', MIN(id) FROM auth_user",
    )
    return url


def test_all_records_move_to_a_database_of_the_other_kind_and_back(
    source: str,
    new_database: Callable[[], str],
    sqlite_databases: SqliteDatabases,
    start_server: Callable[..., RainbowServer],
    tmp_path: Path,
) -> None:
    there, back = new_database(), sqlite_databases.new()
    add_token(source, CLUSTER, label="mover", value="moved-with-the-others")
    # As if the newest had been pruned: its id is not given again.
    execute(source, "UPDATE sqlite_sequence SET seq = 7000 WHERE name = 'jobs_job'")

    said = as_the_manual_says([source, there], file=tmp_path / "first")
    done(there, "export", tmp_path / "second")
    done(back, "import", tmp_path / "second")

    (jobs,) = count(source, "jobs_job")
    assert re.fullmatch(rf"Wrote .*/first: {jobs:,} jobs, [\d,]+ rows of {len(list(tables()))} tables\.\n", said)
    first, second = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("first", "second"))
    assert first == second
    some = ("jobs_job", "auth_user", "django_admin_log")
    assert count(there, *some) == count(source, *some) and all(count(there, *some))
    assert count(back, *some) == count(source, *some)
    server = start_server(database_url=there)
    with Client(server.address, cluster=CLUSTER, token="moved-with-the-others") as submitter:
        assert submitter.submit_jobs([JobSpec(command="hostname")]).results[0].jobid == 7001
    refused = manage(there, "export", tmp_path / "third")
    assert "a live server uses the database" in refused.stderr or "a live server uses /" in refused.stderr
    assert not (tmp_path / "third").exists()


@pytest.fixture(scope="module")
def exported(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "file"
    done(source, "export", path)
    return path


def test_an_import_that_is_killed_changes_nothing(
    exported: Path, new_database: Callable[[], str], tmp_path: Path
) -> None:
    there = new_database()
    before = count(there, "auth_permission", "auth_group", "jobs_job", "clusters_cluster")
    os.mkfifo(tmp_path / "pipe")
    process = subprocess.Popen([*MANAGE, "import", tmp_path / "pipe"], env=environment_for(there))

    with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
        # All but what a pipe holds was read when this returns (pipe(7)).
        pipe.write(exported.read_bytes()[:-100])
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)

    assert count(there, "auth_permission", "auth_group", "jobs_job", "clusters_cluster") == before
    assert done(there, "import", exported).startswith("Imported ")
    again = manage(there, "import", exported)
    assert again.returncode == 1
    assert "the database is not empty: auth_user has rows; import into a new one" in again.stderr


def test_every_column_is_of_a_kind_that_an_export_knows() -> None:
    assert {column.kind for table in tables() for column in table.columns} <= KINDS


def test_every_table_is_in_an_export_but_those_of_sessions_and_relays() -> None:
    models = [model for model in apps.get_models(include_auto_created=True) if not model._meta.proxy]

    held = [table.name for table in tables()]
    assert len(held) == len(set(held))
    assert {model._meta.db_table for model in models} - set(held) == {
        "django_session",
        "jobs_relay",
        "jobs_relayedchunk",
    }
    assert all(table.names[0] == "id" for table in tables())
