"""Which jobs of Flux changed, as Flux tells it, so that only these have to be asked for."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from itertools import islice

from rainbow.telemetry.lines import Line

# What no event tells, such as a scheduler's words on why a job waits, is seen after so long; of many jobs later, since
# each answer costs a millisecond.
AGAIN_SECONDS = 15
MOST_AGAIN = 50
RETRY_SECONDS = 5

_log = logging.getLogger("rainbow.agent")


class EventsRefused(Exception):
    """Flux does not tell this user; the message says why."""


class FluxEvents:
    """`stream` yields the native ids of jobs that change, and an empty one once it is known that it will tell of each
    change from there on. Raises EventsRefused, or whatever else ends it.

    What did not change since it was asked for is quiet. While nothing is told, nothing is quiet.
    """

    def __init__(self, stream: Callable[[], Iterator[str]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        # When each was asked for, the earliest first.
        self._quiet: dict[str, float] = {}
        self._flows = False
        self.notify: Callable[[], None] = lambda: None

    @property
    def flows(self) -> bool:
        return self._flows

    def start(self) -> None:
        threading.Thread(target=self._follow, name="events of Flux", daemon=True).start()

    def take_due(self, native_ids: Collection[str]) -> set[str]:
        """Those to ask for now. They are quiet from here on: what changes while they are asked for is due again."""
        now, wanted = self._clock(), set(native_ids)
        with self._lock:
            # No others: it would grow with each job.
            self._quiet = {native_id: at for native_id, at in self._quiet.items() if native_id in wanted}
            long_ago = (native_id for native_id, at in self._quiet.items() if now - at >= AGAIN_SECONDS)
            due = (wanted - self._quiet.keys()) | set(islice(long_ago, MOST_AGAIN))
            for native_id in due:
                self._quiet.pop(native_id, None)
            if self._flows:
                self._quiet |= dict.fromkeys(due, now)
        return due

    def ask_again(self, native_ids: Collection[str]) -> None:
        """For those of which nothing final could be told."""
        with self._lock:
            for native_id in native_ids:
                self._quiet.pop(native_id, None)

    def follow(self) -> None:
        """Until the stream ends."""
        try:
            for native_id in self._stream():
                self._told(native_id)
        finally:
            with self._lock:
                self._flows, self._quiet = False, {}
            self.notify()

    def _told(self, native_id: str) -> None:
        with self._lock:
            if not native_id:
                self._flows = True
                return
            was_quiet = self._quiet.pop(native_id, None) is not None
        if was_quiet:
            self.notify()

    def _follow(self) -> None:
        said = ""
        while True:
            try:
                self.follow()
            except EventsRefused as refusal:
                _log.info(Line("Flux is polled", reason=refusal))
                return
            except Exception as error:  # whatever Flux's library raises; polls go on
                if said != (said := str(error)):
                    _log.warning(Line("Flux is polled until it tells of events again", error=error))
            time.sleep(RETRY_SECONDS)
