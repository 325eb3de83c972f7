"""Passes what a job wrote from its agent to a reader, wherever the two are connected. Nothing of it is kept.

A relay is the reader's, and has a name that only the agent learns, by a wish. The agent sends chunks; those that arrive
at another process than the reader's go through a few rows of the database.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from clusters.callers import Caller, Operator
from clusters.validation import check_line
from jobs.models import Job, Relay, RelayedChunk, Wish
from jobs.notify import tell_relay_after_commit
from jobs.queries.lookup import within_reach
from jobs.queries.relays import GONE_AFTER, WINDOW, Chunk
from jobs.services.wishes import check_agent, want
from jobs.spec_rules import check_file_names
from jobs.states import UNTAKEN, OutputSource, WishKind
from rainbow.errors import NO_SUCH_JOB, FailedPrecondition, InvalidArgument, LimitReached, NotFound

MOST_READERS_OF_A_JOB = 16
MAX_BYTES = 2**62
NO_ANSWER = "the cluster's agent did not answer: it is away, or of an earlier release"
_RETRY_AFTER_SECONDS = 10


class NoAgent(FailedPrecondition):
    def __init__(self) -> None:
        super().__init__("no agent has the job, so nothing is known of its output")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`attempt` is the one whose output it is, `start` from which byte on it is wanted; less than 0 is from the end."""

    id: str
    attempt: int
    start: int


def begin_relay(
    *,
    by: Caller | Operator,
    job_id: int,
    source: OutputSource,
    start: int,
    follow: bool = False,
    most_bytes: int = 0,
    file: str = "",
    now: datetime,
) -> Opened:
    """Asks the job's agent to send its output to the caller, who sees what jobs wrote.

    Raises NotFound, InvalidArgument, NoAgent, and LimitReached.
    """
    if not -MAX_BYTES <= start <= MAX_BYTES:
        raise InvalidArgument(f"must be {-MAX_BYTES:,} to {MAX_BYTES:,}, not {start:,}", field="from_byte")
    if (source is OutputSource.FILE) != bool(file):
        raise InvalidArgument("is needed with a source of FILE, and only there", field="file")
    if file:
        check_file_names([file], field="file")
    job = within_reach(by).filter(id=job_id).only("cluster_id", "agent", "attempt", "state").first()
    if job is None:
        raise NotFound(NO_SUCH_JOB)
    if not job.agent or job.state in UNTAKEN:
        raise NoAgent
    if Relay.objects.filter(job_id=job_id, read_at__gte=now - GONE_AFTER).count() >= MOST_READERS_OF_A_JOB:
        raise LimitReached("so many read the job's output already", retry_after_seconds=_RETRY_AFTER_SECONDS)
    opened = Opened(id=secrets.token_hex(16), attempt=job.attempt, start=start)
    content = {
        "stream": opened.id,
        "source": source.value,
        "from_byte": opened.start,
        "most_bytes": most_bytes,
        "follow": follow,
        **({"file": file} if file else {}),
    }
    _begin(job, opened, content, now=now)
    return opened


@transaction.atomic
def _begin(job: Job, opened: Opened, content: dict[str, object], *, now: datetime) -> None:
    where = {"cluster_id": job.cluster_id, "agent": job.agent, "job_id": job.id, "attempt": job.attempt}
    Relay.objects.create(id=opened.id, from_byte=opened.start, read_at=now, **where)
    want([Wish(kind=WishKind.READ, content=content, made_at=now, **where)])


def may_send(*, caller: Caller, agent: str, relay: str, now: datetime) -> Opened:
    """Raises InvalidArgument, and NotFound unless the relay waits for this agent."""
    check_agent(caller=caller, agent=agent)
    check_line(relay, field="stream", longest=32)
    mine = Relay.objects.filter(id=relay, cluster_id=caller.cluster_id, agent=agent, read_at__gte=now - GONE_AFTER)
    if caller.narrowed_to:
        mine = mine.filter(job__project_id=caller.narrowed_to)
    found = mine.first()
    if found is None:
        raise NotFound("nobody reads this any more")
    return Opened(id=found.id, attempt=found.attempt, start=found.from_byte)


@transaction.atomic
def pass_on(*, relay: str, chunk: Chunk) -> bool | None:
    """Puts a chunk before the reader; False while there is no room, None where the reader is gone."""
    # Also keeps the relay from ending meanwhile.
    if not Relay.objects.select_for_update().filter(id=relay).exists():
        return None
    if RelayedChunk.objects.filter(relay_id=relay).count() >= WINDOW:
        return False
    RelayedChunk.objects.create(relay_id=relay, offset=chunk.offset, data=chunk.data, end=chunk.end, error=chunk.error)
    tell_relay_after_commit(relay)
    return True


@transaction.atomic
def taken(*, relay: str, ids: Collection[int]) -> None:
    """The reader has these chunks: there is room for others."""
    RelayedChunk.objects.filter(id__in=ids).delete()
    tell_relay_after_commit(relay)


def note_reader(*, relay: str, now: datetime) -> None:
    Relay.objects.filter(id=relay).update(read_at=now)


@transaction.atomic
def end_relay(*, relay: str) -> None:
    """The reader is gone, or has all."""
    # By the job, since what a wish holds has no index.
    job = Relay.objects.filter(id=relay).values("job_id")
    Wish.objects.filter(job_id__in=job, kind=WishKind.READ, content__stream=relay).delete()
    _end([relay])
    tell_relay_after_commit(relay)


@transaction.atomic
def end_left_relays(*, now: datetime) -> int:
    """Those of readers whose processes died; returns how many."""
    left = list(Relay.objects.filter(read_at__lt=now - GONE_AFTER).order_by("id").values_list("id", flat=True)[:100])
    _end(left)
    return len(left)


def _end(relays: Collection[str]) -> None:
    list(Relay.objects.select_for_update().filter(id__in=relays).order_by("id"))
    RelayedChunk.objects.filter(relay_id__in=relays).delete()
    Relay.objects.filter(id__in=relays).delete()
