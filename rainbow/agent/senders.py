"""Sends what jobs wrote to the server, for those who read it there; each output in a thread of its own."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator

from rainbow.agent.context import AgentContext
from rainbow.agent.journal import key_of
from rainbow.errors import InvalidArgument, RainbowError
from rainbow.executors.executor import Ticket
from rainbow.executors.folders import FILES, OUTPUTS, NotKept
from rainbow.spec_rules import check_file_names
from rainbow.telemetry.failures import named, told
from rainbow.telemetry.lines import Line
from rainbow.wishes import Chunk, Wish

# As the server takes it.
CHUNK_BYTES = 256 * 1024
# Chunks that the server has not answered yet.
MOST_UNDER_WAY = 2
# More readers than the server lets read at a time wait for their turns there.
MOST_SENDERS = 64
LOOK_EVERY_SECONDS = 0.2
# While nothing is new, the server is told so often that this agent is there.
BEAT_SECONDS = 5.0
# A reader that takes nothing keeps a thread no longer.
STALL_SECONDS = 300.0
LONGEST_ERROR = 1_000

_log = logging.getLogger("rainbow.agent")


class Senders:
    """`is_over` says whether nothing more comes of the job under a key; any thread may ask it."""

    def __init__(self, context: AgentContext, *, is_over: Callable[[str], bool]) -> None:
        self._context = context
        self._is_over = is_over
        self._turn = threading.Lock()
        self._sending: set[Sender] = set()
        self._stops = False

    def send(self, wish: Wish) -> str:
        """Begins to; returns why not, or nothing."""
        if len(wish.jobids) != 1 or wish.most_bytes < 0:
            return "this agent does not know what is wanted"
        if wish.file:
            try:
                check_file_names([wish.file], field="file")
            except InvalidArgument as error:
                return str(error)
        with self._turn:
            if self._stops or len(self._sending) >= MOST_SENDERS:
                return "this agent sends so many outputs already"
            sender = Sender(self._context, wish, is_over=self._is_over)
            self._sending.add(sender)
        threading.Thread(target=self._run, args=(sender,), name="output", daemon=True).start()
        return ""

    def stop(self) -> None:
        with self._turn:
            self._stops = True
            for sender in self._sending:
                sender.end()

    def _run(self, sender: "Sender") -> None:
        try:
            sender.run()
        finally:
            with self._turn:
                self._sending.discard(sender)


class Sender:
    """Sends one output to one reader."""

    def __init__(self, context: AgentContext, wish: Wish, *, is_over: Callable[[str], bool]) -> None:
        self._context = context
        self._wish = wish
        self._ticket = Ticket(key=key_of(wish.jobids[0], wish.attempt), native_id="")
        self._output = f"{FILES}/{wish.file}" if wish.file else OUTPUTS[wish.stderr]
        self._listed: bytes | None = None
        self._is_over = is_over
        self._start = wish.from_byte
        self._turn = threading.Condition()
        self._under_way = 0
        self._ends = False

    def run(self) -> None:
        client, agent = self._context.client, self._context.settings.agent
        try:
            for more in client.send_output(self._wish.stream, self._chunks(), agent=agent):
                with self._turn:
                    self._under_way -= 1
                    self._turn.notify_all()
                if not more:
                    return
        # The reader asks again; the agent's other calls tell what is wrong with the server.
        except RainbowError as error:
            _log.info(Line("an output was not sent to its end", key=self._ticket.key, error=error))
        except Exception as error:
            _log.warning(Line("cannot send an output", key=self._ticket.key, error=named(error)), exc_info=error)
        finally:
            self.end()

    def end(self) -> None:
        with self._turn:
            self._ends = True
            self._turn.notify_all()

    def _chunks(self) -> Iterator[Chunk]:
        """In gRPC's thread, which takes the next one when it comes to it."""
        offset = max(0, self._wish.from_byte)
        try:
            if self._wish.from_byte < 0:
                size = self._context.executor.size(self._ticket, self._output)
                offset = self._start = max(0, size + self._wish.from_byte)
            for data in self._parts():
                if not self._has_room():
                    return
                yield Chunk(offset=offset, data=data)
                offset += len(data)
        except NotKept as error:
            yield Chunk(offset=offset, end=True, error=str(error))
        except Exception as error:
            yield Chunk(offset=offset, end=True, error=_line(f"the output cannot be read: {told(error)}"))
        else:
            if not self._ends:
                yield Chunk(offset=offset, end=True)

    def _parts(self) -> Iterator[bytes]:
        """To the end of what is wanted; empty ones in between, and as the first of an output that is empty."""
        start, said_at = self._start, 0.0
        while not self._ends:
            # Before it is read: what comes later is not missed.
            is_over = self._is_over(self._ticket.key)
            is_last = is_over or not self._wish.follow
            data = self._read(start, whole=is_over)
            if data or time.monotonic() - said_at >= BEAT_SECONDS:
                yield data
                start, said_at = start + len(data), time.monotonic()
            if not data and (is_last or self._left(start) == 0):
                return
            if not data:
                with self._turn:
                    self._turn.wait_for(lambda: self._ends, LOOK_EVERY_SECONDS)

    def _read(self, start: int, *, whole: bool) -> bytes:
        """While the job runs, what is more than is kept is cut again and again: who reads on gets its end then."""
        if self._wish.listing:
            return self._listing(start)
        most, kept = min(CHUNK_BYTES, self._left(start)), self._context.settings.kept_output_bytes
        if not whole and not self._wish.file and self._start < kept:
            most = min(most, max(0, kept - start))
        return self._context.executor.part(self._ticket, self._output, start=start, most_bytes=most) if most else b""

    def _listing(self, start: int) -> bytes:
        """As it was when it was asked for first."""
        if self._listed is None:
            listed = self._context.executor.files(self._ticket)
            lines = [json.dumps({"name": name, "size": size}) for name, size in listed.files]
            more = [json.dumps({"more": True})] if listed.more else []
            self._listed = "".join(f"{line}\n" for line in (*lines, *more)).encode()
        return self._listed[start : start + CHUNK_BYTES]

    def _left(self, start: int) -> int:
        most = self._wish.most_bytes
        return max(0, self._start + most - start) if most else CHUNK_BYTES

    def _has_room(self) -> bool:
        """Waits until few enough chunks are under way; False where the reader takes none, or is gone."""
        with self._turn:
            there = self._turn.wait_for(lambda: self._ends or self._under_way < MOST_UNDER_WAY, STALL_SECONDS)
            self._under_way += 1
            return there and not self._ends


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:LONGEST_ERROR]
