"""The server's settings: what is empty is not set, and what is wrong is refused by its name, in one line."""

import re
import runpy
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from django.db import ConnectionHandler

from rainbow_site.databases import configure
from rainbow_site.environment import Environment, WrongSetting
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.servers import MANAGE, ROOT, environment_for

SETTINGS = ROOT / "rainbow_site" / "settings.py"
READERS = re.compile(r'env\.(address|text|secret|number|switch|choice|words)\(\s*"(\w+)"')
VARIABLES = {name: kind for kind, name in READERS.findall(SETTINGS.read_text())}
WRONG = {"address": "ftp://somewhere", "number": "many", "switch": "perhaps", "choice": "LOUD", "secret": "CHANGE-ME"}


def manage(*words: str, database_url: str = "sqlite:///:memory:", **settings: str) -> subprocess.CompletedProcess[str]:
    environment = environment_for(database_url, **settings)
    return subprocess.run([*MANAGE, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def said_in_one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The complaint of a command that failed as it should."""
    assert result.returncode == 1
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if " INFO " not in line]
    assert len(lines) == 1, result.stderr
    return lines[0]


def test_every_reader_of_a_setting_is_known_to_this_file() -> None:
    assert {"DATABASE_URL", "RAINBOW_BATCH", "RAINBOW_DEBUG", "RAINBOW_LOG_LEVEL"} <= VARIABLES.keys()
    assert set(WRONG) < set(VARIABLES.values())


def test_empty_variables_are_not_set() -> None:
    # Django's key is made anew at each start.
    names = "[n for n in dir(s) if n.isupper() and n != 'SECRET_KEY']"
    code = f"from django.conf import settings as s; print([(n, getattr(s, n)) for n in {names}])"
    show = ["shell", "--verbosity=0", "--command", code]

    unset = manage(*show, database_url="")
    empty = manage(*show, **dict.fromkeys(VARIABLES.keys() - {"DATABASE_URL"}, ""), database_url="")

    assert unset.returncode == 0, unset.stderr
    assert "('RAINBOW_REGISTRATION_SECRET', 'chocolate-cookies')" in unset.stdout
    assert f"'NAME': '{ROOT}/rainbow.db'" in unset.stdout
    assert empty.stdout == unset.stdout


@pytest.mark.parametrize("name", sorted(name for name, kind in VARIABLES.items() if kind in WRONG))
def test_a_setting_that_cannot_be_is_refused_by_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = WRONG[VARIABLES[name]]
    monkeypatch.setenv(name, value)

    with pytest.raises(WrongSetting) as refused:
        runpy.run_path(str(SETTINGS))

    complaint = str(refused.value)
    assert complaint.startswith(f"{name}: must be ")
    assert complaint.lower().endswith(f"not '{value}'".lower())


def test_no_command_of_ours_shows_a_trace_for_a_wrong_setting() -> None:
    for words in (["grpcserver"], ["serve"], ["prune", "--older-than", "9"], ["migrate"], ["check"]):
        assert said_in_one_line(manage(*words, RAINBOW_BATCH="0")).startswith("WrongSetting: RAINBOW_BATCH: must be")


def test_whoever_wants_the_trace_gets_it() -> None:
    assert "Traceback" in manage("migrate", "--traceback", RAINBOW_BATCH="0").stderr


@pytest.mark.parametrize("text", ["0", "10001", "-1", "1.5", "٣", "1" * 5000, "1e3", "x"])
def test_a_number_has_a_range(text: str) -> None:
    with pytest.raises(WrongSetting, match="N: must be a number from 1 to 10,000"):
        Environment({"N": text}).number("N", 5, lowest=1, highest=10_000)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("10000", 10_000), (" 7\n", 7), ("", 5)])
def test_a_number_within_its_range_is_taken(text: str, number: int) -> None:
    assert Environment({"N": text}).number("N", 5, lowest=1, highest=10_000) == number


@pytest.mark.parametrize(
    ("text", "on"), [("1", True), ("TRUE", True), ("on", True), ("", False), ("no", False), (" off ", False)]
)
def test_a_switch_is_on_or_off(text: str, on: bool) -> None:
    assert Environment({"S": text}).switch("S") is on


def test_a_choice_is_taken_in_any_case_and_a_list_without_its_blanks() -> None:
    environment = Environment({"LEVEL": "debug", "HOSTS": "a.example, b.example,"})

    assert environment.choice("LEVEL", "INFO", among=["DEBUG", "INFO"]) == "DEBUG"
    assert environment.words("HOSTS", "localhost") == ["a.example", "b.example"]


def test_a_text_is_taken_as_it_stands() -> None:
    assert Environment({"SECRET": "$HOME ${x} "}).text("SECRET", "default") == "$HOME ${x} "


# The database


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:password@host/name",
        "postgresql",
        "postgresql://host",
        "postgresql:///",
        "sqlite://",
        "sqlite://rainbow.db",
        "rainbow.db",
        "://",
    ],
)
def test_a_database_that_rainbow_does_not_speak_to_is_refused(url: str) -> None:
    with pytest.raises(WrongSetting, match=r"DATABASE_URL: must be sqlite:////path/to/file.db or postgresql://"):
        configure(url, pool_size=1)


def test_a_password_that_is_not_encoded_is_refused_and_not_shown() -> None:
    with pytest.raises(WrongSetting, match="percent-encode") as refused:
        configure("postgresql://user:hush/hush@host/name", pool_size=1)

    assert "hush" not in str(refused.value)


def test_a_password_with_special_characters_arrives() -> None:
    config = configure("postgresql://me%40home:a%2Fb%24c@db.example:5433/name?sslmode=require", pool_size=7)

    assert (config["USER"], config["PASSWORD"], config["HOST"], config["PORT"]) == (
        "me@home",
        "a/b$c",
        "db.example",
        5433,
    )
    assert (config["OPTIONS"]["sslmode"], config["OPTIONS"]["pool"]["max_size"]) == ("require", 7)


@pytest.mark.django_db
def test_what_sqlite_commits_is_on_disk_and_readers_do_not_wait(tmp_path: Path) -> None:
    """https://sqlite.org/pragma.html#pragma_synchronous: 2 is FULL."""
    databases = ConnectionHandler({"default": configure(f"sqlite:///{tmp_path}/rainbow.db", pool_size=1)})

    with closing(databases["default"]) as database, database.cursor() as cursor:
        found = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]

    assert found == [2, "wal"]
    assert database.transaction_mode == "IMMEDIATE"


def test_a_database_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    complaint = said_in_one_line(manage("grpcserver", database_url=f"sqlite:///{tmp_path}/none/rainbow.db"))

    assert complaint == f"WrongSetting: DATABASE_URL: there is no folder {tmp_path}/none"


def refused_server(database_url: str) -> str:
    return said_in_one_line(manage("grpcserver", "--address", "127.0.0.1:0", database_url=database_url))


def test_a_file_that_cannot_be_a_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of a database" * 100)

    assert refused_server(f"sqlite:///{tmp_path}/notes.txt").endswith("notes.txt: file is not a database")
    assert refused_server(f"sqlite:///{tmp_path}").endswith(f"{tmp_path}: unable to open database file")


def test_a_database_in_memory_cannot_serve() -> None:
    assert "needs a file" in refused_server("sqlite:///:memory:")


def test_a_postgresql_that_does_not_answer_is_said_at_once_and_why() -> None:
    complaint = refused_server(f"postgresql://user:hush-hush@127.0.0.1:{free_port()}/name")

    assert complaint.startswith("CommandError: the database does not answer: ")
    assert "Connection refused" in complaint
    assert "hush-hush" not in complaint


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("RAINBOW_TLS_CLIENT_CA", "RAINBOW_TLS_CERT and RAINBOW_TLS_KEY"),
        ("RAINBOW_TLS_CLIENT_ADDRESS", "RAINBOW_TLS_CLIENT_CA"),
    ],
)
def test_a_setting_of_client_certificates_names_what_it_needs(name: str, needs: str) -> None:
    complaint = said_in_one_line(manage("migrate", **{name: "something"}))

    assert f"{name}: needs {needs}" in complaint
