"""What the provider answers, of which neither the size nor the time is its own choice."""

import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import requests

TIMEOUT_SECONDS = 10
# After which the connection of one that was given up is closed, if nothing comes.
_SILENCE_SECONDS = 10
MOST_BYTES = 1024 * 1024
# Those that were given up are under way until the provider lets go of them.
_UNDER_WAY = threading.BoundedSemaphore(8)


class ProviderFailed(Exception):
    """The provider does not answer, or not as it should; the text is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    kind: str
    content: bytes

    def json(self) -> Any:
        """Raises ProviderFailed."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise ProviderFailed("its answer is no JSON") from error


def ask(
    method: str, address: str, *, data: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """Raises ProviderFailed, also for a redirect: what is sent is for this address alone.

    `requests` has a time limit for each piece of an answer, not for all of it.
    """
    if not _UNDER_WAY.acquire(blocking=False):
        raise ProviderFailed("too many of its answers are not complete yet")
    found = Future[Answer]()
    threading.Thread(target=_fetch, args=(found, method, address, data, headers), daemon=True).start()
    try:
        return found.result(timeout=TIMEOUT_SECONDS)
    except TimeoutError:
        raise ProviderFailed(f"its answer was not complete after {TIMEOUT_SECONDS} seconds") from None


def _fetch(
    found: Future[Answer], method: str, address: str, data: dict[str, Any] | None, headers: dict[str, str] | None
) -> None:
    try:
        found.set_result(_fetched(method, address, data, {"Accept-Encoding": "identity", **(headers or {})}))
    except Exception as error:
        found.set_exception(error if isinstance(error, ProviderFailed) else ProviderFailed(type(error).__name__))
    finally:
        _UNDER_WAY.release()


def _fetched(method: str, address: str, data: dict[str, Any] | None, headers: dict[str, str]) -> Answer:
    with requests.request(
        method, address, data=data, headers=headers, timeout=_SILENCE_SECONDS, stream=True, allow_redirects=False
    ) as answer:
        if answer.status_code != requests.codes.ok:
            raise ProviderFailed(f"it answers {answer.status_code}")
        # As it comes: what is compressed may become a thousand times as long.
        content: bytes = answer.raw.read(MOST_BYTES + 1, decode_content=False)
        if len(content) > MOST_BYTES:
            raise ProviderFailed(f"its answer is longer than {MOST_BYTES:,} bytes")
        return Answer(kind=answer.headers.get("Content-Type", "").lower(), content=content)
