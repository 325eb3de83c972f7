"""What is to be said about a group while nothing changes: how far it is, and what keeps it waiting."""

import threading
import time
from collections.abc import Callable

from rainbow.client import Client
from rainbow.records import JobGroup
from rainbow.terminal.background import Background
from rainbow.terminal.group_hindrance import Hindrance, hindrance_of
from rainbow.terminal.output import complain

LOOK_EVERY_SECONDS = 1.0
# While the counts change, the group goes on.
SAY_AFTER_SECONDS = 10.0
SAY_AGAIN_AFTER_SECONDS = 60.0


class GroupNews(Background):
    """Calls `show` every second with the group as it was last noted, in a thread of its own, until it is finished.

    Where its counts have not changed for 10 seconds, asks what keeps it waiting, and says that when it is new.
    """

    def __init__(
        self,
        client: Client,
        *,
        show: Callable[[JobGroup], None] = lambda group: None,
        say: Callable[[str], None] = complain,
    ) -> None:
        super().__init__(name="group news")
        self._client = client
        self._show = show
        self._say = say
        self._group: JobGroup | None = None
        self._look_at = 0.0
        self._said: tuple[object, ...] = ()
        self._lock = threading.Lock()

    def note(self, group: JobGroup) -> None:
        with self._lock:
            if self._group is None or self._group.counts != group.counts:
                self._look_at = time.monotonic() + SAY_AFTER_SECONDS
            self._group = group
            self._show(group)

    def _run(self) -> None:
        while not self._over.wait(LOOK_EVERY_SECONDS):
            with self._lock:
                group = self._group
                if group and not group.finished_at:
                    self._show(group)
            if group and time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + SAY_AGAIN_AFTER_SECONDS
                self._tell(group, hindrance_of(self._client, group))

    def _tell(self, group: JobGroup, found: Hindrance | None) -> None:
        # Its counts may have changed since it was asked for.
        if self._group is None or self._group.counts != group.counts or self._over.is_set():
            return
        cause = found.cause if found else ()
        if found and cause != self._said:
            self._say(f"Group {group.id} waits: {found.text}")
        self._said = cause
