"""The file of an embedded database: what is written to one that is gone or full is refused, and does not vanish."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from django.db import ConnectionHandler, OperationalError

from rainbow_site.databases import configure
from rainbow_site.web.health import NO_ANSWER, NO_WRITES
from tests.support.servers import RainbowServer
from tests.support.web import Guest, get, post, registered
from tests.support.wire import eventually

Start = Callable[..., RainbowServer]
GONE = "was deleted or replaced while this server had it open"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "rainbow.db"


@pytest.fixture
def guest(start_server: Start, embedded_database: str) -> Guest:
    return registered(start_server(database_url=embedded_database, with_web=True))


def delete(database: Path) -> None:
    database.unlink()


def delete_all(database: Path) -> None:
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()


def delete_the_log(database: Path) -> None:
    database.with_name(f"{database.name}-wal").unlink()


def replace_by_a_copy(database: Path) -> None:
    copy = database.with_name("copy.db")
    shutil.copyfile(database, copy)
    copy.rename(database)


def replace_by_nothing(database: Path) -> None:
    delete(database)
    database.touch()


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(delete, marks=pytest.mark.long),
        delete_all,
        delete_the_log,
        replace_by_a_copy,
        pytest.param(replace_by_nothing, marks=pytest.mark.long),
    ],
)
def test_nothing_is_taken_for_a_file_that_is_gone(guest: Guest, database: Path, lose: Callable[[Path], None]) -> None:
    assert guest.submit_over_grpc("hostname") == 1
    lose(database)
    left = {file: file.stat().st_ino for file in database.parent.glob(f"{database.name}*")}

    with pytest.raises(grpc.RpcError) as refused:
        guest.submit_over_grpc("hostname")
    over_rest = post(guest.server, "/api/v1/jobs", {"command": "hostname"}, bearer=guest.token)

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert over_rest.status == 503
    eventually(lambda: get(guest.server, "/readyz").json == {"status": NO_WRITES})
    assert get(guest.server, "/healthz").status == 200
    guest.server.log_with(GONE)
    assert {file: file.stat().st_ino for file in left} == left, "no other takes its place"
    assert database.exists() == (lose not in (delete, delete_all))


@pytest.mark.parametrize("lose", [pytest.param(delete, marks=pytest.mark.long), delete_all, replace_by_a_copy])
def test_a_process_that_never_opened_the_file_that_is_gone_opens_no_other(
    guest: Guest, database: Path, lose: Callable[[Path], None]
) -> None:
    lose(database)
    was_there = database.exists()
    [victim] = guest.server.web_processes()

    os.kill(victim, signal.SIGKILL)

    eventually(lambda: guest.server.web_processes() not in ([], [victim]))
    assert post(guest.server, "/api/v1/jobs", {"command": "hostname"}, bearer=guest.token).status == 503
    assert get(guest.server, "/readyz").json == {"status": NO_ANSWER}
    assert database.exists() == was_there


@pytest.mark.django_db
@pytest.mark.parametrize("lose", [delete, delete_all, delete_the_log, replace_by_a_copy, replace_by_nothing])
def test_a_commit_to_a_file_that_went_meanwhile_is_none(database: Path, lose: Callable[[Path], None]) -> None:
    with closing(connection_to(database)) as connection:
        connection.cursor().execute("CREATE TABLE t (a)")

        begin(connection)
        connection.cursor().execute("INSERT INTO t VALUES (1)")
        lose(database)

        with pytest.raises(OperationalError, match=GONE):
            connection.commit()


@pytest.mark.django_db
def test_a_connection_that_comes_later_makes_no_new_file(database: Path) -> None:
    with closing(connection_to(database)) as first, closing(connection_to(database)) as later:
        first.ensure_connection()
        delete_all(database)

        with pytest.raises(OperationalError, match=GONE):
            later.ensure_connection()

    assert not database.exists()


def test_a_full_disk_is_said_and_ready_again_once_there_is_room(
    start_server: Start, small_disk: Path, embedded_database: str
) -> None:
    guest = registered(start_server(database_url=embedded_database, with_web=True))
    assert guest.submit_over_grpc("hostname") == 1

    fill(small_disk / "rest")
    eventually(lambda: get(guest.server, "/readyz").json == {"status": NO_WRITES})
    with pytest.raises(grpc.RpcError) as refused:
        for _ in range(100):
            guest.submit_over_grpc("x" * 60_000)
    (small_disk / "rest").unlink()

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    guest.server.log_with("database or disk is full")
    eventually(lambda: get(guest.server, "/readyz").status == 200)
    guest.submit_over_grpc("hostname")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of the test; who asks for its database as well asks for this first."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs to mount a file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(file: Path) -> None:
    with pytest.raises(OSError, match="No space left"), file.open("wb", buffering=0) as rest:
        while True:
            rest.write(bytes(4096))


def begin(connection: Any) -> None:
    """As transaction.atomic does for a connection that it knows."""
    connection.ensure_connection()
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def connection_to(database: Path) -> Any:
    return ConnectionHandler({"default": configure(f"sqlite:///{database}", pool_size=1)})["default"]
