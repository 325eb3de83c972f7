"""How long tests wait for a condition: slow machines take minutes."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 300


def wait_until(true: Callable[[], object], *, pause_seconds: float = 0.02) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(pause_seconds)
