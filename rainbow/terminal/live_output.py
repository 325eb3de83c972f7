"""Prints what jobs write, from their sites: output on standard output, errors on standard error."""

import codecs
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

import click

from rainbow.client import Client
from rainbow.errors import DeadlineExceeded, RainbowError
from rainbow.records import Job, OutputPart
from rainbow.terminal.output import complain
from rainbow.text import on_one_line, printable

# After the job is over: for the next part of what is still under way.
LAST_SECONDS = 3600.0
LOOK_EVERY_SECONDS = 1.0


def write_bytes(chunks: Iterable[bytes], *, err: bool = False) -> None:
    """Unchanged for programs, with control characters escaped for a terminal."""
    stream: IO[Any] = sys.stderr if err else sys.stdout
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    is_terminal = stream.isatty()
    for chunk in chunks:
        if chunk:
            shown = printable(decoder.decode(chunk)) if is_terminal else chunk
            click.echo(shown, nl=False, err=err, color=True)


def labeled(chunks: Iterable[bytes], label: str) -> Iterator[bytes]:
    """Each line with the label before it; the last one is ended."""
    prefix = f"{label}: ".encode()
    begins = True
    for chunk in chunks:
        if not chunk:
            continue
        body = chunk.removesuffix(b"\n").replace(b"\n", b"\n" + prefix)
        ends = chunk.endswith(b"\n")
        yield (prefix if begins else b"") + body + (b"\n" if ends else b"")
        begins = ends
    if not begins:
        yield b"\n"


def never_started(job: Job) -> bool:
    return job.finished_at is not None and not (job.started_at or job.output or job.exit_code is not None)


class Output(Enum):
    OUTPUT = "output"
    ERRORS = "errors"


class _Reading:
    """One output: how much of it came, and since when its next part is waited for, unless one is being written."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.size = 0
        self._waits_since: float | None = None

    def of(self, parts: Iterable[OutputPart]) -> Iterator[bytes]:
        self._waits_since = time.monotonic()
        for part in parts:
            if part.data:
                self._waits_since = None
                self.size = part.offset + len(part.data)
                yield part.data
                self._waits_since = time.monotonic()

    def is_stuck(self, since: float) -> bool:
        """Whether nothing came for long, since that time and since the last part."""
        waits_since = self._waits_since
        return waits_since is not None and time.monotonic() - max(since, waits_since) >= LAST_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Break:
    """Why no more came of an output, of which there were so many bytes."""

    output: Output
    error: RainbowError
    size: int


class LiveOutput:
    """Prints both outputs of a job, each in a thread of its own, once the job runs; of its last attempt all of it.

    With `only` it is the output or the errors alone, on standard output. `from_byte` is where it begins, of the attempt
    that is printed first. `is_missing`: nothing came from the site, so that the end of the output on record is all
    there is.
    """

    def __init__(
        self, client: Client, jobid: int, *, follow: bool = True, only: Output | None = None, from_byte: int = 0
    ) -> None:
        self._client = client
        self._jobid = jobid
        self._follow = follow
        self._outputs = tuple(Output) if only is None else (only,)
        self._from_byte = from_byte
        self._attempt = 0
        self._threads: dict[threading.Thread, _Reading] = {}
        self._breaks: list[_Break] = []
        self._unwritten: OSError | None = None

    def note(self, job: Job) -> None:
        """Of a job that no agent had nothing can be read."""
        if not job.agent or not (job.started_at or job.finished_at) or job.attempt <= self._attempt:
            return
        self.join()
        for broken in self._breaks:
            complain(f"{_told(broken)} That was attempt {self._attempt}.")
        self.begin(job.attempt)

    def begin(self, attempt: int) -> None:
        self._attempt = attempt
        self._breaks = []
        for output in self._outputs:
            reading = _Reading(output)
            arguments = (reading, self._from_byte)
            thread = threading.Thread(target=self._print, args=arguments, name="output", daemon=True)
            thread.start()
            self._threads[thread] = reading
        self._from_byte = 0

    def join(self) -> None:
        since = time.monotonic()
        for thread, reading in self._threads.items():
            while thread.is_alive() and not reading.is_stuck(since):
                thread.join(LOOK_EVERY_SECONDS)
            if thread.is_alive():
                self._note_break(reading, DeadlineExceeded("nothing more came for a long time"))
        self._threads = {}
        self.raise_if_unwritten()

    def raise_if_unwritten(self) -> None:
        """Raises the OSError of an output that could not be written, upon which the client was closed."""
        if self._unwritten:
            raise self._unwritten

    @property
    def is_missing(self) -> bool:
        return not self._attempt or (
            len(self._breaks) == len(self._outputs) and all(not broken.size for broken in self._breaks)
        )

    @property
    def failure(self) -> RainbowError | None:
        return self._breaks[0].error if self._breaks else None

    def tell_what_is_missing(self) -> None:
        for broken in self._breaks:
            if broken.size:
                stderr = " --stderr" if broken.output is Output.ERRORS else ""
                complain(f"{_told(broken)} `rainbow logs {self._jobid}{stderr} --from {broken.size}` shows the rest.")

    def _print(self, reading: _Reading, from_byte: int) -> None:
        stderr = reading.output is Output.ERRORS
        try:
            parts = self._client.read_output(self._jobid, stderr=stderr, from_byte=from_byte, follow=self._follow)
            write_bytes(reading.of(parts), err=stderr and len(self._outputs) > 1)
        except RainbowError as error:
            self._note_break(reading, error)
        except OSError as error:  # the reader of our output is gone, or its disk is full
            self._unwritten = error
            # Ends the other output, and the wait for the job's next step, which may be hours away.
            self._client.close()

    def _note_break(self, reading: _Reading, error: RainbowError) -> None:
        self._breaks.append(_Break(output=reading.output, error=error, size=reading.size))


def _told(broken: _Break) -> str:
    are = "The output" if broken.output is Output.OUTPUT else "Standard error"
    return on_one_line(f"{are} broke off after {broken.size:,} bytes: {broken.error}.")
