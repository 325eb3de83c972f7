"""Relays: who reads which output of a job, and what of it is under way."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.models import Relay, RelayedChunk

# How many chunks are under way, of a reader that is slower than the agent.
WINDOW = 3
# A reader who did not say for so long that they are there is gone.
GONE_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A part of an output, from the byte `offset` on. `error`: why no more comes, with `end`."""

    offset: int
    data: bytes = b""
    end: bool = False
    error: str = ""


def chunks_of(relay: str) -> list[tuple[int, Chunk]]:
    """Those that wait for the reader in the database, in their order, each with its id."""
    found = RelayedChunk.objects.filter(relay_id=relay).order_by("id")[:WINDOW]
    return [(row.id, Chunk(offset=row.offset, data=bytes(row.data), end=row.end, error=row.error)) for row in found]


def left_relays_exist(*, now: datetime) -> bool:
    return Relay.objects.filter(read_at__lt=now - GONE_AFTER).exists()
