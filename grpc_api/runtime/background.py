"""Work that goes on for as long as a server runs."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from rainbow.telemetry.lines import Line

# Twice as long after each further failure, until it goes well for as long as that.
RESTART_AFTER_SECONDS, RESTART_AFTER_AT_MOST_SECONDS = 2.0, 60.0

_log = logging.getLogger("rainbow.grpc")

# Starts the work.
Work = Callable[[], Coroutine[Any, Any, None]]


async def supervise(name: str, work: Work) -> None:
    """Restarts the work when it fails.

    Work handles the errors of the database itself. Any other would end it for good: leases would not expire, or old
    jobs would stay, and nothing would say so.
    """
    loop = asyncio.get_running_loop()
    pause = RESTART_AFTER_SECONDS
    while True:
        began = loop.time()
        try:
            await work()
        except Exception as error:
            _log.error(Line("unexpected failure; restarting", work=name), exc_info=error)
        else:
            return
        if loop.time() - began > RESTART_AFTER_AT_MOST_SECONDS:
            pause = RESTART_AFTER_SECONDS
        await asyncio.sleep(pause)
        pause = min(2 * pause, RESTART_AFTER_AT_MOST_SECONDS)
