"""Work that goes on for as long as a server runs."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from rainbow.telemetry.lines import Line

# Until work begins again that failed.
PAUSE_SECONDS = 2.0

_log = logging.getLogger("rainbow.grpc")

# Begins work that never ends by itself.
Endless = Callable[[], Coroutine[Any, Any, None]]


async def keep_at(name: str, work: Endless) -> None:
    """Begins the work again when it fails, in whatever way.

    What the database refuses, the work says itself and goes on. Any other failure would end it for good: leases would
    not run out, or old jobs stay, and nothing would tell.
    """
    while True:
        try:
            await work()
        except Exception as error:
            _log.error(Line("unexpected failure; beginning again", work=name), exc_info=error)
        await asyncio.sleep(PAUSE_SECONDS)
