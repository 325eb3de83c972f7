"""Lines are written in batches, in their order, and none is lost but by SIGKILL."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from rainbow.telemetry.lines import Line, TextLines
from rainbow_site.process.log_writer import MOST_WAITING, LineWriter
from tests.support.patience import PATIENCE_SECONDS, wait_until

PROGRAM = """
import logging, os, sys
from rainbow.telemetry.lines import Line, TextLines
from rainbow_site.process.log_writer import LineWriter

writer = LineWriter()
writer.setFormatter(TextLines())
log = logging.getLogger("rainbow.test")
log.addHandler(writer)
log.setLevel(logging.INFO)
for number in range({number}):
    log.info(Line("call", number=number))
{end}
"""

# The child writes its own line only.
FORK = """
if child := os.fork():
    os.waitpid(child, 0)
else:
    log.info(Line("call", number=1_000))
"""


class Stream(io.StringIO):
    """Counts what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def log(stream: Stream) -> Iterator[logging.Logger]:
    writer = LineWriter()
    writer.setStream(stream)
    writer.setFormatter(TextLines())
    log = logging.Logger("rainbow.test", logging.INFO)
    log.addHandler(writer)
    yield log
    writer.close()


def numbers(text: str) -> list[int]:
    return [int(line.rpartition("number=")[2]) for line in text.splitlines() if "number=" in line]


def run(end: str, *, number: int = 1_000) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(number=number, end=end)],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_lines_that_come_together_are_written_together_in_their_order(log: logging.Logger, stream: Stream) -> None:
    for number in range(500):
        log.info(Line("call", number=number))

    wait_until(lambda: len(numbers(stream.getvalue())) == 500)
    assert numbers(stream.getvalue()) == list(range(500))
    assert stream.writes < 100


def test_lines_of_many_threads_are_all_written(log: logging.Logger, stream: Stream) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 500):
            log.info(Line("call", number=number))

    threads = [threading.Thread(target=write, args=[first]) for first in range(0, 4_000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    wait_until(lambda: len(numbers(stream.getvalue())) >= 4_000)
    assert sorted(numbers(stream.getvalue())) == list(range(4_000))


@pytest.mark.parametrize("what", ["a warning", "a failure", "a text with values"])
def test_what_may_not_wait_is_written_at_once_after_what_came_before(
    what: str, log: logging.Logger, stream: Stream
) -> None:
    log.info(Line("call", number=1))

    if what == "a warning":
        log.warning(Line("said"))
    elif what == "a failure":
        log.info(Line("said"), exc_info=ValueError("bad"))
    else:
        log.info("%s", "said")

    first, second, *_ = stream.getvalue().splitlines()
    assert first.endswith("call number=1")
    assert second.endswith("said")


def test_a_line_that_cannot_become_text_takes_no_other_with_it(
    log: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("broken")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info(Line("call", number=1))
    log.info(Line("call", broken=Broken()))
    log.warning(Line("call", number=2))

    assert numbers(stream.getvalue()) == [1, 2]


class Interrupted(TextLines):
    """Logs a failure for each line that it makes text of, as a signal's handler or a finalizer may."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._log = log

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno == logging.INFO:
            self._log.warning(Line("interrupted"))
        return text


def test_a_writer_that_is_interrupted_by_who_logs_loses_nothing(log: logging.Logger, stream: Stream) -> None:
    log.handlers[0].setFormatter(Interrupted(log))
    for number in range(20):
        log.info(Line("call", number=number))
    wait_until(lambda: len(numbers(stream.getvalue())) == 20)

    log.info(Line("call", number=20))

    wait_until(lambda: len(numbers(stream.getvalue())) == 21)
    assert stream.getvalue().count("interrupted") == 21


def test_a_writer_that_logs_and_one_who_waits_for_it_do_not_wait_for_each_other(stream: Stream) -> None:
    log, is_making_text, waits = logging.Logger("rainbow.test", logging.INFO), threading.Event(), threading.Event()

    class Waiting(LineWriter):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                waits.set()
            super().emit(record)

    class Logging(TextLines):
        def format(self, record: logging.LogRecord) -> str:
            if "number=1" in str(record.msg):
                is_making_text.set()
                waits.wait(PATIENCE_SECONDS)
                log.info(Line("call", number=3))
            return super().format(record)

    writer = Waiting()
    writer.setStream(stream)
    writer.setFormatter(Logging())
    log.addHandler(writer)
    log.info(Line("call", number=1))
    assert is_making_text.wait(PATIENCE_SECONDS)
    threading.Thread(target=log.warning, args=[Line("call", number=2)], daemon=True).start()

    wait_until(lambda: sorted(numbers(stream.getvalue())) == [1, 2, 3])


def test_lines_are_written_where_no_thread_can_be_started(
    log: logging.Logger, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        log.info(Line("call", number=1))
        log.info(Line("call", number=2))
        assert numbers(stream.getvalue()) == [1, 2]

    log.info(Line("call", number=3))
    wait_until(lambda: numbers(stream.getvalue()) == [1, 2, 3])


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('unexpected')", 1),
        ("logging.shutdown(); os._exit(4)", 4),
        (FORK, 0),
    ],
)
def test_the_end_of_a_process_loses_no_line(end: str, code: int) -> None:
    returned, text = run(end)

    assert returned == code
    expected = list(range(1_000))
    assert [number for number in numbers(text) if number < 1_000] == expected
    assert numbers(text).count(1_000) == (end == FORK)


def test_a_reader_that_is_slow_makes_the_logging_wait_and_loses_nothing() -> None:
    number = 3 * MOST_WAITING
    program = PROGRAM.format(number=number, end="print('logged', flush=True)")
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        # The first line comes before the rest is read: what is logged beyond the bound waits for the reader.
        first = process.stderr.readline()
        assert process.poll() is None
        rest = process.stderr.read()
        assert process.stdout.read() == "logged\n"

    assert numbers(first + rest) == list(range(number))
