"""Listens, in a thread of its own, to what the server wants of the agent before its next report."""

import logging
import threading
import time
from collections.abc import Callable

from rainbow.client import Client
from rainbow.errors import RainbowError, Unimplemented
from rainbow.pending_call import PendingCall
from rainbow.telemetry.failures import named
from rainbow.telemetry.lines import Line
from rainbow.wishes import Wish, WishKind

WAIT_SECONDS = 60
# The next call says what was done; one that the agent is slow with keeps the others from being heard no longer.
SETTLED_WITHIN_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 30.0
# A server of an earlier release may be updated.
UNIMPLEMENTED_PAUSE_SECONDS = 300.0
# More than a server that keeps to the protocol ever tells.
MOST_OPEN = 1_000
LONGEST_ERROR = 1_000

_log = logging.getLogger("rainbow.agent")


class WishListener:
    """Keeps a call open. `tell` is called in its thread when something came, which `take` returns then.

    Each wish that was taken is to be settled once. The server tells it again until it knows that. Outputs do not wait
    for a round: `send` begins to send one, in another thread, and says why it cannot.
    """

    def __init__(self, client: Client, agent: str, *, tell: Callable[[], None], send: Callable[[Wish], str]) -> None:
        self._client = client
        self._agent = agent
        self._tell = tell
        self._send = send
        self._thread = threading.Thread(target=self._run, name="wishes", daemon=True)
        self._turn = threading.Condition()
        self._came: list[Wish] = []
        # Those that are known and not settled, and what became of those that the server is still to be told of.
        self._open: set[int] = set()
        self._done: dict[int, str] = {}
        self._pending: PendingCall[tuple[Wish, ...]] | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._turn:
            self._stopping.set()
            self._turn.notify_all()
            if self._pending:
                self._pending.cancel()

    def has_news(self) -> bool:
        return bool(self._came)

    def take(self) -> list[Wish]:
        with self._turn:
            came, self._came = self._came, []
        return came

    def settle(self, wish: Wish, error: str = "") -> None:
        """`error`: why it could not be done."""
        with self._turn:
            self._open.discard(wish.id)
            self._done[wish.id] = error[:LONGEST_ERROR]
            self._turn.notify_all()

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._listen()
                pause = FIRST_PAUSE_SECONDS
            except Unimplemented:
                self._rest(UNIMPLEMENTED_PAUSE_SECONDS)
            # The agent's other calls tell what is wrong with the server, and renew the secret.
            except RainbowError:
                self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception as error:
                if self._stopping.is_set():
                    return
                _log.warning(Line("cannot hear what the server wants", error=named(error)), exc_info=error)
                self._rest(LONGEST_PAUSE_SECONDS)

    def _listen(self) -> None:
        """One call. A server that answers nothing new at once, against the protocol, is not asked all the time."""
        asked_at = time.monotonic()
        with self._turn:
            if self._stopping.is_set():
                return
            told = dict(self._done)
            self._pending = self._client.begin_to_await_wishes(agent=self._agent, wait_seconds=WAIT_SECONDS, done=told)
        wishes = self._pending.result()
        with self._turn:
            self._done = {id: error for id, error in self._done.items() if id not in told}
            is_new = self._take_in(wishes)
            came = bool(self._came)
        if came:
            self._tell()
        with self._turn:
            self._turn.wait_for(lambda: self._stopping.is_set() or not self._open, SETTLED_WITHIN_SECONDS)
        if not is_new and time.monotonic() - asked_at < FIRST_PAUSE_SECONDS:
            self._rest(FIRST_PAUSE_SECONDS)

    def _take_in(self, wishes: tuple[Wish, ...]) -> bool:
        """Whether there was a new one."""
        is_new = False
        for wish in wishes[: MOST_OPEN - len(self._open)]:
            if wish.id in self._open or wish.id in self._done:
                continue
            is_new = True
            if wish.kind is WishKind.READ:
                self._done[wish.id] = self._send(wish)[:LONGEST_ERROR]
            else:
                self._open.add(wish.id)
                self._came.append(wish)
        return is_new

    def _rest(self, seconds: float) -> None:
        with self._turn:
            self._turn.wait_for(self._stopping.is_set, seconds)
