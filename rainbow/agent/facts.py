"""Tells the server what the cluster has."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from rainbow.agent.context import AgentContext
from rainbow.agent.reporter import Reporter
from rainbow.errors import FailedPrecondition, InvalidArgument, RainbowError
from rainbow.facts import (
    MAX_BYTES,
    MAX_COUNT,
    MAX_GPU_TYPES,
    MAX_PARTITIONS,
    MAX_TEXT,
    MAX_TEXTS,
    MAX_VALUES,
    NAME,
    Facts,
    Partition,
    Value,
)
from rainbow.telemetry.failures import named
from rainbow.telemetry.lines import Line

READ_EVERY = timedelta(minutes=5)
TRY_AGAIN_AFTER = timedelta(seconds=30)
# Schedulers answer within milliseconds. One that does not is read on beside the rounds.
WAIT_SECONDS = 1.0

_log = logging.getLogger("rainbow.agent")


class FactsTeller:
    """Reads the facts of the scheduler every few minutes, and has those that changed reported.

    They are read in a thread of their own, which holds up no round for longer than a second.
    """

    def __init__(self, context: AgentContext, reporter: Reporter) -> None:
        self._context = context
        self._reporter = reporter
        self._reading: _Reading | None = None
        self._due_at: datetime | None = None
        self._told: Facts | None = None
        self._refused: Facts | None = None
        self._trouble = ""

    def step(self) -> bool:
        """Never moves a job. Raises what reporting them raised.

        A scheduler that does not tell them keeps nothing else from being done, and so is no trouble of the round.
        """
        if self._reading is None and self._is_due() and not self._context.settings.only_mine:
            self._due_at = self._context.clock() + TRY_AGAIN_AFTER
            self._reading = _Reading(self._context.executor.facts)
            self._reading.wait(WAIT_SECONDS)
        if self._reading and self._reading.is_over:
            reading, self._reading = self._reading, None
            self._read(reading)
        return False

    def _read(self, reading: "_Reading") -> None:
        try:
            facts = reading.result()
        except Exception as error:  # whatever it is, the agent works without
            self._note_trouble(error)
            return
        self._trouble = ""
        if self._tell(bounded(_with(facts, self._context.site_facts))):
            self._due_at = self._context.clock() + READ_EVERY

    def _note_trouble(self, error: Exception) -> None:
        unexpected = None if isinstance(error, RainbowError) else error
        trouble = named(unexpected) if unexpected else str(error)
        if trouble != self._trouble:
            _log.warning("cannot tell what the cluster has: %s", trouble, exc_info=unexpected)
        self._trouble = trouble

    def _is_due(self) -> bool:
        return self._due_at is None or self._context.clock() >= self._due_at

    def _tell(self, facts: Facts) -> bool:
        """Whether the server knows them now, or never will."""
        if facts in (self._told or Facts(), self._refused):
            return True
        try:
            self._reporter.tell(facts)
        except FailedPrecondition as error:
            _log.info("tells later what the cluster has: %s", error)
            return False
        except InvalidArgument as error:
            # Those of this release fit the rules of this release's server.
            self._refused = facts
            _log.error("the server takes no such facts: %s", error)
        else:
            self._told, self._refused = facts, None
            partitions = len(facts.by_partition())
            _log.info(Line("told what the cluster has", partitions=partitions, values=len(facts.values)))
        return True


class _Reading:
    """A call in a thread; `result` raises what it raised."""

    def __init__(self, read: Callable[[], Facts]) -> None:
        self._read = read
        self._facts = Facts()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="facts", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def result(self) -> Facts:
        if self._error:
            raise self._error
        return self._facts

    def _run(self) -> None:
        try:
            self._facts = self._read()
        except Exception as error:  # `result` raises it
            self._error = error


def _with(facts: Facts, site: Mapping[str, Value]) -> Facts:
    """The site knows better than its scheduler."""
    return replace(facts, values={**site, **{name: one for name, one in facts.values.items() if name not in site}})


def bounded(facts: Facts) -> Facts:
    """As much of them as a server takes: of too much, first the features go, then the differences between the nodes of
    a partition, then the partitions. What is left out excludes no job.
    """
    values = {name: _value(value) for name, value in facts.values.items() if NAME.fullmatch(name)}
    values = dict(list(values.items())[:MAX_VALUES])
    partitions = tuple(_partition(partition) for partition in facts.partitions if _text(partition.name))
    for fewer in _fewer(partitions):
        found = Facts(values=values, partitions=fewer)
        if len(fewer) <= MAX_PARTITIONS and found.size <= MAX_BYTES:
            return found
    return Facts()


def _fewer(partitions: tuple[Partition, ...]) -> Iterator[tuple[Partition, ...]]:
    yield partitions
    plain = tuple(replace(partition, features=()) for partition in partitions)
    yield plain
    yield tuple(_merged(plain))
    yield ()


def _merged(partitions: tuple[Partition, ...]) -> Iterator[Partition]:
    """One of each name, with all nodes and the most of everything."""
    for same in Facts(partitions=partitions).by_partition().values():
        types = dict.fromkeys(kind for one in same for kind in one.gpus_per_node)
        yield replace(
            same[0],
            nodes=_count(sum(one.nodes for one in same)),
            cores_per_node=_most(one.cores_per_node for one in same),
            memory_mib_per_node=_most(one.memory_mib_per_node for one in same),
            gpus_per_node={kind: max(one.gpus_per_node.get(kind, 0) for one in same) for kind in types},
            longest_seconds=_most(one.longest_seconds for one in same),
            max_nodes=_most(one.max_nodes for one in same),
        )


def _most(counts: Iterable[int]) -> int:
    """0 if one of them is: that means not told, or no limit."""
    told = list(counts)
    return max(told) if all(told) else 0


def _partition(partition: Partition) -> Partition:
    gpus = {_text(kind): _count(count) for kind, count in partition.gpus_per_node.items()}
    return replace(
        partition,
        name=_text(partition.name),
        gpus_per_node=gpus if len(gpus) <= MAX_GPU_TYPES else {"": _count(sum(gpus.values()))},
        features=_texts(partition.features),
        nodes=_count(partition.nodes),
        cores_per_node=_count(partition.cores_per_node),
        memory_mib_per_node=_count(partition.memory_mib_per_node),
        longest_seconds=_count(partition.longest_seconds),
        max_nodes=_count(partition.max_nodes),
    )


def _value(value: Value) -> Value:
    if isinstance(value, tuple):
        return _texts(value)
    return _text(value) if isinstance(value, str) else value


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_text, texts))))[:MAX_TEXTS]


def _text(text: str) -> str:
    """Without control characters and lone surrogates."""
    plain = "".join(character for character in text if character.isprintable())
    return plain.encode(errors="ignore").decode()[:MAX_TEXT]


def _count(count: int) -> int:
    return min(max(count, 0), MAX_COUNT)
