"""Locks beside an sqlite_lock database: nobody else can take them, and who holds one for long is named."""

import fcntl
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from django.db import OperationalError

from rainbow_site.process import sqlite_lock
from rainbow_site.sqlite.locks import open_lock
from rainbow_site.sqlite.turn import Turn
from tests.support import processes
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.servers import MANAGE, RainbowServer, environment_for
from tests.support.web import Guest, registered
from tests.support.wire import eventually

Start = Callable[..., RainbowServer]
ME = f"process {os.getpid()}"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "rainbow.db"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    descriptor = open_lock(str(file))
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def is_free(file: Path) -> bool:
    descriptor = open_lock(str(file))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_nobody_else_can_open_what_they_could_lock(start_server: Start, database: Path, embedded_database: str) -> None:
    for suffix in ("lock", "turn"):
        database.with_name(f"rainbow.db.{suffix}").touch(mode=0o666)

    start_server(database_url=embedded_database, with_web=True)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in database.parent.glob("rainbow.db*")}
    assert modes.keys() >= {"rainbow.db", "rainbow.db.lock", "rainbow.db.turn"}
    assert set(modes.values()) == {0o600}


def test_a_lock_is_no_way_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "other")

    with pytest.raises(OSError):
        open_lock(str(tmp_path / "link"))

    assert not (tmp_path / "other").exists()


def test_a_server_waits_for_one_that_updates_the_database_and_says_so(database: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [*MANAGE, "grpcserver", "--address", f"127.0.0.1:{free_port()}"]

    with locked(tmp_path / "rainbow.db.lock"):
        process = processes.start(command, log=log, environment=environment_for(f"sqlite:///{database}"))
        processes.wait_until(lambda: f"INFO waiting for {ME}" in log.read_text(), process=process, log=log)
        assert " serves " not in log.read_text()

    # What was locked was no update: the database has no tables.
    assert process.wait(PATIENCE_SECONDS) == 1
    assert "the database is not up to date" in log.read_text()


def test_a_lock_that_is_never_given_up_is_a_clear_error(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_lock, "PATIENCE_SECONDS", 0)

    with (
        locked(database.with_name("rainbow.db.lock")),
        pytest.raises(sqlite_lock.CannotUse, match=f"{ME} has locked {database}.lock for 0 seconds"),
        sqlite_lock.held(database, cleanup=False),
    ):
        pass


def test_a_writer_that_is_kept_waiting_fails_and_names_who_keeps_it(
    start_server: Start, database: Path, embedded_database: str
) -> None:
    server = start_server(database_url=f"{embedded_database}?timeout=1", with_web=True)
    guest = registered(server)

    with locked(database.with_name("rainbow.db.turn")), pytest.raises(grpc.RpcError) as refused:
        guest.submit_over_grpc("hostname")

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    server.log_with(re.escape(f"{ME} has held {database}.turn for 1 seconds"))
    # The server refuses calls until it has found that the database answers again.
    eventually(lambda: first_submission(guest) == 1)


def first_submission(guest: Guest) -> int | None:
    try:
        return guest.submit_over_grpc("hostname")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        return None


def test_a_turn_that_comes_too_late_is_given_back(tmp_path: Path) -> None:
    file, turn = tmp_path / "turn", Turn(str(tmp_path / "turn"), patience_seconds=0.01)

    with locked(file):
        fail_to_take(turn)

    eventually(lambda: is_free(file))


def test_a_turn_that_is_asked_for_again_keeps_its_place(tmp_path: Path) -> None:
    file, turn = tmp_path / "turn", Turn(str(tmp_path / "turn"), patience_seconds=0.01)
    threads = threading.active_count()

    with locked(file):
        for _ in range(20):
            fail_to_take(turn)
        assert threading.active_count() <= threads + 1

    eventually(lambda: takes(turn))
    assert not is_free(file)
    turn.end()
    assert is_free(file)


def test_a_turn_after_one_that_came_too_late_ends_like_any(tmp_path: Path) -> None:
    file, turn = tmp_path / "turn", Turn(str(tmp_path / "turn"), patience_seconds=0.01)
    with locked(file):
        fail_to_take(turn)
    eventually(lambda: is_free(file))

    turn.take()
    turn.end()

    assert is_free(file)


def test_a_turn_that_was_closed_while_it_waited_takes_nothing(tmp_path: Path) -> None:
    file, turn = tmp_path / "turn", Turn(str(tmp_path / "turn"), patience_seconds=0.01)

    with locked(file):
        fail_to_take(turn)
        turn.close()

    eventually(lambda: is_free(file))
    assert takes(turn)
    turn.close()
    assert is_free(file)


def fail_to_take(turn: Turn) -> None:
    with pytest.raises(OperationalError, match=f"{ME} has held"):
        turn.take()


def takes(turn: Turn) -> bool:
    try:
        turn.take()
    except OperationalError:
        return False
    return True
