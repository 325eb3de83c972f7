"""A scheduler whose calls are timed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from rainbow.executors.executor import Access, Capacity, Executor, Progress, Ticket
from rainbow.executors.folders import MOST_LISTED, Listed
from rainbow.facts import Facts
from rainbow.specs import Work


class TimedExecutor:
    """`timed` makes a context for each call that reaches the scheduler."""

    def __init__(self, executor: Executor, timed: Callable[[str], AbstractContextManager[None]]) -> None:
        self._executor = executor
        self._timed = timed

    @property
    def access(self) -> Access:
        return self._executor.access

    def capacity(self) -> Capacity:
        with self._timed("capacity"):
            return self._executor.capacity()

    def facts(self) -> Facts:
        with self._timed("facts"):
            return self._executor.facts()

    def slots(self, work: Work) -> int:
        return self._executor.slots(work)

    def never(self, work: Work) -> str:
        return self._executor.never(work)

    def submit(self, work: Work, key: str) -> str:
        with self._timed("submit"):
            return self._executor.submit(work, key)

    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        return self._executor.batches(works)

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        with self._timed("submit_together"):
            return self._executor.submit_together(works)

    def find(self, keys: Collection[str]) -> dict[str, str]:
        with self._timed("find"):
            return self._executor.find(keys)

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        with self._timed("watch"):
            return self._executor.watch(tickets)

    def notify(self, changed: Callable[[], None]) -> None:
        self._executor.notify(changed)

    def cancel(self, tickets: Collection[Ticket]) -> None:
        with self._timed("cancel"):
            self._executor.cancel(tickets)

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        with self._timed("withdraw"):
            self._executor.withdraw(tickets)

    def signal(self, ticket: Ticket, name: str) -> None:
        with self._timed("signal"):
            self._executor.signal(ticket, name)

    def output(self, ticket: Ticket) -> str:
        return self._executor.output(ticket)

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        return self._executor.part(ticket, output, start=start, most_bytes=most_bytes)

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        return self._executor.files(ticket, patterns, most=most)

    def forget_secrets(self, ticket: Ticket) -> None:
        self._executor.forget_secrets(ticket)

    def size(self, ticket: Ticket, output: str) -> int:
        return self._executor.size(ticket, output)

    def kept_bytes(self, ticket: Ticket) -> int:
        return self._executor.kept_bytes(ticket)

    def forget(self, ticket: Ticket) -> None:
        self._executor.forget(ticket)

    def tidy(self, running: Collection[Ticket]) -> bool:
        return self._executor.tidy(running)
