"""What a job writes, output and errors apart: each through a pipe, into a file of limited size."""

import contextlib
import os
import select
import sys
import threading
import traceback
from collections.abc import Sequence

from rainbow.system.untrusted_files import CAREFULLY

OUTPUT, ERRORS = "output", "errors"
# Of what is over the limit, or finds no space, the end is kept: it mostly says how the job went.
END_BYTES = 32 * 1024
CHUNK_BYTES = 64 * 1024
# What may still be in a pipe when the job is over (pipe(7)).
LAST_BYTES = 1024 * 1024
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Output:
    """The file of that name in that folder. A full disk makes gaps, and no errors."""

    def __init__(self, folder: int, name: str = OUTPUT, *, most_bytes: int) -> None:
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | CAREFULLY, 0o600, dir_fd=folder)
        self._size = os.fstat(self._file).st_size
        self._most = most_bytes
        self._is_over = False
        self._is_full = False
        # What is to be written next, when it can be: why something is missing, and the end of that.
        self._note = b""
        self._end = b""

    def keep(self, chunk: bytes) -> None:
        if self._is_full and self._append_whole(self._note + self._end):
            self._is_full, self._note, self._end = False, b"", b""
        if not self._is_full and not self._is_over:
            chunk = self._without_what_fits(chunk)
        self._end = (self._end + chunk)[-END_BYTES:]

    def say(self, words: str) -> None:
        self.keep(_line(words))

    def finish(self) -> None:
        """Write the end of what is missing, over the end of the file where there is no space."""
        rest = self._note + self._end
        if rest and not self._append_whole(rest) and self._size:
            # Some file systems write elsewhere what is overwritten, and have no space for that either.
            with contextlib.suppress(OSError):
                os.pwrite(self._file, rest[-self._size :], max(0, self._size - len(rest)))
        os.close(self._file)

    def _without_what_fits(self, chunk: bytes) -> bytes:
        fits = chunk[: max(0, self._most - self._size)]
        kept = self._append(fits)
        if kept < len(fits):
            self._is_full, self._note = True, _line("output is missing here: there was no space left for it")
        elif kept < len(chunk):
            self._is_over, note = True, over(self._most)
            self._note = b"" if self._append_whole(note) else note
        return chunk[kept:]

    def _append_whole(self, text: bytes) -> bool:
        before = self._size
        if self._append(text) == len(text):
            return True
        os.ftruncate(self._file, before)
        self._size = before
        return False

    def _append(self, text: bytes) -> int:
        """Returns how much could be written."""
        kept = 0
        try:
            while kept < len(text):
                kept += os.pwrite(self._file, text[kept:], self._size + kept)
        except OSError:
            pass
        self._size += kept
        return kept


class Pump:
    """Moves what a job writes into its outputs, each through a pipe, in a thread of its own: so a disk that hangs keeps
    nobody from ending the job.

    The job neither waits nor fails for what becomes of its output. It writes to the `entrances`.
    """

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs: dict[int, Output] = {}
        self._poll = select.poll()
        self._stopping = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll.register(self._stopping, select.POLLIN)
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self.entrances: list[int] = []
        for output in outputs:
            exit, entrance = os.pipe()
            os.set_blocking(exit, False)
            self._outputs[exit] = output
            self._poll.register(exit, select.POLLIN)
            self.entrances.append(entrance)

    def start(self) -> None:
        """Only the job has the entrances open after this."""
        for entrance in self.entrances:
            os.close(entrance)
        self._thread.start()

    def stop(self) -> None:
        """Read what is in the pipes, and no more: a process that could not be ended may hold an entrance open."""
        os.eventfd_write(self._stopping, 1)
        self._thread.join()
        os.close(self._stopping)

    def _run(self) -> None:
        try:
            self._move_until_told()
            for exit, output in self._outputs.items():
                self._move_the_rest(exit)
                output.finish()
                os.close(exit)
        # Without it the job would wait for ever; so it ends with its runner.
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def _move_until_told(self) -> None:
        """Or until all pipes are at their ends."""
        left = set(self._outputs)
        while left:
            ready = {file for file, _ in self._poll.poll()}
            for exit in left & ready:
                if self._moved(exit) == b"":
                    self._poll.unregister(exit)
                    left.discard(exit)
            if self._stopping in ready:
                return

    def _move_the_rest(self, exit: int) -> None:
        for _ in range(LAST_BYTES // CHUNK_BYTES):
            if not self._moved(exit):
                return

    def _moved(self, exit: int) -> bytes | None:
        """Empty at the end of the pipe; None where nothing is in it, as when the job itself read what it wrote."""
        try:
            chunk = os.read(exit, CHUNK_BYTES)
        except BlockingIOError:
            return None
        if chunk:
            self._outputs[exit].keep(chunk)
        return chunk


def over(most_bytes: int) -> bytes:
    return _line(f"the output is longer than {spelled(most_bytes)}; only its end follows")


def spelled(size: int) -> str:
    """In the largest unit that divides it."""
    unit = 0
    while size and size % 1024 == 0 and unit < len(UNITS) - 1:
        size, unit = size // 1024, unit + 1
    return f"{size} {UNITS[unit]}"


def _line(words: str) -> bytes:
    return f"\nrainbow: {words}\n".encode()
