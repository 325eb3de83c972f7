"""How a future ends."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of a call that raised, `error` is what. It is no exception of ours: a coroutine cannot raise a StopIteration."""

    value: Any = None
    error: BaseException | None = None
