"""What copies of databases are made of, and what becomes of them when something fails."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rainbow_site.copies import postgresql_backup, sqlite_backup
from rainbow_site.copies.new_file import CannotCopy, new_file

CONNECTION = {
    "host": "db.example.org",
    "port": 5433,
    "user": "rainbow",
    "password": "sesame open",
    "dbname": "jobs",
    "sslmode": "verify-full",
    "keepalives_idle": 5,
    "cursor_factory": object(),
}


def nothing(done: int, pages: int) -> None:
    pass


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "rainbow.db"
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, output TEXT)")
        file.executemany("INSERT INTO jobs (output) VALUES (?)", [("x" * 4_000,)] * 100)
    return path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a script in place of a program; it notes its words and its environment."""

    def make(name: str, ending: str) -> Path:
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\nenv > {tmp_path}/environment\n{ending}\n'
        )
        script.chmod(0o700)
        monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
        return tmp_path

    return make


def jobs_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        return int(file.execute("SELECT COUNT(*) FROM jobs").fetchone()[0])


def test_a_copy_has_what_was_committed_when_it_began_and_writers_go_on(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_backup, "_PAGES", 10)
    steps = []

    def write(done: int, pages: int) -> None:
        with closing(sqlite3.connect(database, timeout=0)) as file, file:
            file.execute("INSERT INTO jobs (output) VALUES ('later')")
        steps.append((done, pages))

    sqlite_backup.back_up(database, tmp_path / "copy", progress=write)

    sqlite_backup.verify(tmp_path / "copy")
    assert jobs_in(tmp_path / "copy") == 100
    assert jobs_in(database) == 100 + len(steps)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert len(steps) > 5


def test_a_copy_is_one_file_that_can_be_read_where_nothing_can_be_written(database: Path, tmp_path: Path) -> None:
    sqlite_backup.back_up(database, tmp_path / "copy", progress=nothing)

    assert not list(tmp_path.glob("copy-*"))
    with closing(sqlite3.connect(tmp_path / "copy")) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_damaged_copy_is_found(database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    sqlite_backup.back_up(database, copy, progress=nothing)
    content = bytearray(copy.read_bytes())
    content[8192:8292] = b"\xff" * 100
    copy.write_bytes(content)

    with pytest.raises(CannotCopy, match="not sound"):
        sqlite_backup.verify(copy)


def test_a_copy_whose_rows_name_others_that_are_missing_is_not_sound(database: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(database)) as file, file:
        file.execute("CREATE TABLE events (job INTEGER REFERENCES jobs(id))")
        file.execute("INSERT INTO events VALUES (7000)")
    sqlite_backup.back_up(database, tmp_path / "copy", progress=nothing)

    with pytest.raises(CannotCopy, match="events row 1: no such jobs"):
        sqlite_backup.verify(tmp_path / "copy")


@pytest.mark.parametrize("content", [None, b"not a database, and longer than the header of one is" * 100])
def test_what_is_no_database_is_not_copied(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "rainbow.db").write_bytes(content)

    with pytest.raises(CannotCopy, match=r"rainbow\.db"):
        sqlite_backup.back_up(tmp_path / "rainbow.db", tmp_path / "copy", progress=nothing)


def test_a_file_gets_its_name_once_it_is_complete(tmp_path: Path) -> None:
    with new_file(tmp_path / "copy") as draft:
        draft.write_text("half")
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        assert not (tmp_path / "copy").exists()
        draft.write_text("whole")

    assert (tmp_path / "copy").read_text() == "whole"
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "copy"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, CannotCopy])
def test_a_file_that_is_not_finished_is_removed(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), new_file(tmp_path / "copy") as draft:
        Path(f"{draft}-wal").touch()
        raise failure

    assert not list(tmp_path.iterdir())


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(CannotCopy, match="exists already"), new_file(tmp_path / "copy") as draft:
        draft.write_text("mine")
        (tmp_path / "copy").write_text("another's")

    assert (tmp_path / "copy").read_text() == "another's"


@pytest.mark.parametrize("why", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_takes_a_copy_and_replaces_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "copy"
    with new_file(path) as draft:
        draft.write_text("all")
    with pytest.raises(CannotCopy, match="exists already"), new_file(tmp_path / "other") as draft:
        draft.write_text("of me")
        (tmp_path / "other").write_text("of another")

    assert path.read_text() == "all"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "other").read_text() == "of another"
    assert {one.name for one in tmp_path.iterdir()} == {"copy", "other"}


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = os.fsync

    def refuse_folders(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        synced(file)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    with new_file(tmp_path / "copy") as draft:
        draft.write_text("all")

    assert (tmp_path / "copy").read_text() == "all"


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CannotCopy, match="exists already"), new_file(tmp_path / "copy"):
        pass


def test_pg_dump_gets_the_password_by_its_environment_alone(program: Callable[[str, str], Path]) -> None:
    folder = program("pg_dump", "")

    postgresql_backup.back_up(CONNECTION, folder / "draft")

    words = (folder / "words").read_text()
    assert "sesame" not in words
    assert "PGPASSWORD=sesame open\n" in (folder / "environment").read_text()
    assert f"--file={folder}/draft\n" in words
    for option in ("host=db.example.org", "port=5433", "dbname=jobs", "sslmode=verify-full", "keepalives_idle=5"):
        assert option in words


def test_why_pg_dump_failed_is_said(program: Callable[[str, str], Path]) -> None:
    folder = program("pg_dump", 'echo "pg_dump: error: aborting because of server version mismatch" >&2; exit 1')

    with pytest.raises(CannotCopy, match="version mismatch; install PostgreSQL's client programs"):
        postgresql_backup.back_up(CONNECTION, folder / "draft")


def test_a_missing_pg_dump_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotCopy, match="pg_dump is not on the PATH"):
        postgresql_backup.back_up(CONNECTION, tmp_path / "draft")
