"""Log lines in both formats: one event is one line, bounded, whatever others put into it, and failures keep secrets."""

import io
import json
import logging
import os
import re
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import IntegrityError, OperationalError
from psycopg import errors

from rainbow.telemetry.failures import named, told
from rainbow.telemetry.lines import FORMATS, Line, Quoted
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE

FORGED = "2026-11-22 19:11:46,412 INFO forged"
EVIL = f"x\r\n{FORGED}\x1b]0;title\x07\u2028{FORGED}\x85\x7f\u202e\x00\ud800"
CANARY = "canary-4711"
BREAKS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800]")


def written(form: str, message: object, *values: object, error: BaseException | None = None) -> str:
    """What a log in this format holds after one record."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(FORMATS[form]())
    found = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("rainbow.test", logging.INFO, __file__, 1, message, values, found)
    record.created, record.msecs = datetime(2026, 11, 22, 19, 11, 46, 412_900, UTC).timestamp(), 412.9
    handler.handle(record)
    return str(handler.stream.getvalue())


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_text_is_the_event_and_its_fields() -> None:
    line = Line("ended", job=7, state="failed", reason="exit code 3", native_id="", exit=None, ms=1.26, ids=[1, 2])

    text = written("text", line)

    assert re.fullmatch(r"2026-11-2\d \d\d:\d\d:46,412 INFO .*\n", text)
    assert text.partition(" INFO ")[2] == "ended job=7 state=failed reason='exit code 3' ms=1.3 ids=1,2\n"


def test_json_has_the_time_in_utc_and_the_same_fields() -> None:
    line = Line("call", ("call",), call="SubmitJob", job=7, issued_by=Quoted("ada"), ms=1.2604, ids=[1, 2])

    text = written("json", line)

    assert text.count("\n") == 1
    entry = json.loads(text)
    assert entry.pop("process") > 0
    assert entry == {
        "time": "2026-11-22T19:11:46.412Z",
        "level": "INFO",
        "logger": "rainbow.test",
        "message": "call",
        "call": "SubmitJob",
        "job": 7,
        "issued_by": "ada",
        "ms": 1.26,
        "ids": [1, 2],
    }
    assert written("text", line).partition(" INFO ")[2] == "SubmitJob job=7 issued_by='ada' ms=1.3 ids=1,2\n"


def test_the_keys_of_a_record_cannot_be_replaced_by_fields() -> None:
    entry = json.loads(written("json", Line("said", time="never", level="NONE", message="no", process=0, own="kept")))

    assert (entry["time"], entry["level"], entry["message"]) == ("2026-11-22T19:11:46.412Z", "INFO", "said")
    assert entry["own"] == "kept"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "message",
    [
        Line("said", by=EVIL),
        Line("said", by=Quoted(EVIL)),
        Line(EVIL),
        Line("call", ("call",), call=EVIL),
        Line("said", by=[EVIL]),
        EVIL,
    ],
)
def test_no_text_of_others_breaks_a_line(form: str, message: object) -> None:
    text = written(form, message)

    assert text.count("\n") == 1 and text.endswith("\n")
    assert not BREAKS.search(text)
    assert form == "text" or isinstance(json.loads(text), dict)


@pytest.mark.parametrize("form", FORMATS)
def test_fields_and_lines_are_bounded(form: str) -> None:
    assert 900 < len(written(form, Line("said", by="x" * 100_000))) < 1_300
    assert len(written(form, "%s", "\x1b" * 100_000)) < 50_000
    assert len(written(form, Line("said", **{f"f{number}": "x" * 5_000 for number in range(99)}))) < 110_000
    assert len(written(form, Line("said", ids=list(range(100_000))))) < 10_000


def test_a_field_that_looks_like_others_is_quoted() -> None:
    assert " by='x state=completed'" in written("text", Line("said", by="x state=completed"))
    assert " by='x=1'" in written("text", Line("said", by="x=1"))
    assert """ by="it's" """.rstrip() in written("text", Line("said", by="it's"))


@pytest.mark.parametrize("form", FORMATS)
def test_credentials_that_rainbow_makes_are_never_written(form: str) -> None:
    secret = "rbs_" + "aB3_-" * 6

    for message in (secret, Line(f"x {secret}"), Line("x", by=secret), Line("x", by=f"'{secret}' {secret}")):
        assert secret not in written(form, message) and "(credential)" in written(form, message)
    assert secret not in written(form, "failed", error=raised(RuntimeError(secret)))


@pytest.mark.parametrize("form", FORMATS)
def test_a_traceback_belongs_to_its_line(form: str) -> None:
    text = written(form, "failed", error=raised(RuntimeError(EVIL), cause=raised(OSError(13, "denied", EVIL))))

    assert not BREAKS.search(text)
    if form == "json":
        assert text.count("\n") == 1
        text = json.loads(text)["traceback"]
    else:
        first, *rest = text.rstrip("\n").split("\n")
        assert first.endswith("INFO failed")
        assert all(line.startswith("  ") for line in rest)
    assert "test_log_lines.py" in text and "RuntimeError" in text and "PermissionError" in text
    assert "direct cause" in text


@pytest.mark.parametrize("form", FORMATS)
def test_causes_that_go_in_circles_end(form: str) -> None:
    itself, first, second = IntegrityError("x"), IntegrityError("y"), IntegrityError("z")
    itself.__cause__, first.__cause__, second.__cause__ = itself, second, first

    for error in (itself, first):
        assert "IntegrityError" in written(form, "failed", error=error)
        assert named(error) == "IntegrityError"


@pytest.mark.parametrize("form", FORMATS)
def test_a_traceback_holds_nothing_that_a_caller_sent(form: str) -> None:
    for error in (ValueError(CANARY), KeyError(CANARY), IntegrityError(CANARY), Exception(CANARY)):
        assert CANARY not in written(form, "failed", error=raised(RuntimeError("no"), cause=raised(error)))
        assert CANARY not in told(error) + named(error)
    assert len(written(form, "failed", error=raised(RuntimeError("x" * 100_000)))) < 20_000


def test_a_database_says_what_failed_without_the_row() -> None:
    violation = raised(IntegrityError(CANARY), cause=errors.CheckViolation(f"Failing row contains ({CANARY})"))
    gone = raised(OperationalError("x"), cause=errors.AdminShutdown("terminating connection"))

    assert told(violation) == "SQLSTATE 23514"
    assert told(gone) == "terminating connection"
    assert named(gone) == "OperationalError: terminating connection"
    assert told(ValueError(CANARY)) == "ValueError"


@pytest.mark.parametrize(
    "words",
    [("metricsworker", "--folder", "/none"), ("webworker", "--metrics-socket", "/none/web-1")],
    ids=lambda words: words[0],
)
def test_what_ends_a_process_of_the_server_is_a_line_too(words: tuple[str, ...], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = subprocess.run(
            [*MANAGE, *words, "--listener", str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env={**os.environ, "RAINBOW_LOG_FORMAT": "json", "DATABASE_URL": f"sqlite:///{tmp_path}/rainbow.db"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    entry = json.loads(done.stderr)
    assert (entry["level"], entry["message"]) == ("CRITICAL", "unexpected failure")
    assert "CannotListen" in entry["traceback"]
