"""Facts of clusters, parsed once for as long as they stay as they are: those of a large one take milliseconds."""

import threading
from collections import OrderedDict
from collections.abc import Collection
from datetime import datetime

from clusters.facts import Facts
from clusters.models import Cluster

# As many as a pool has clusters, and some. What one tells is at most half a megabyte in memory.
MOST_KEPT = 128


class ParsedFacts:
    """By cluster and the time when they were told. Thread-safe."""

    def __init__(self, *, most: int = MOST_KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, datetime], Facts] = OrderedDict()

    def of(self, cluster_ids: Collection[int]) -> dict[int, Facts]:
        """Of those of these clusters that are there."""
        there = Cluster.objects.filter(id__in=cluster_ids)
        found: dict[int, Facts] = {}
        for cluster_id, facts_at in there.values_list("id", "facts_at"):
            if facts_at and (facts := self._get((cluster_id, facts_at))) is not None:
                found[cluster_id] = facts
        if unread := set(cluster_ids) - found.keys():
            rows = Cluster.objects.filter(id__in=unread).values_list("id", "facts_at", "facts")
            found |= {cluster_id: self._read(cluster_id, facts_at, said) for cluster_id, facts_at, said in rows}
        return found

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def _get(self, key: tuple[int, datetime]) -> Facts | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _read(self, cluster_id: int, facts_at: datetime | None, said: dict[str, object]) -> Facts:
        facts = Facts.read(said)
        if facts_at:
            with self._lock:
                self._kept[cluster_id, facts_at] = facts
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return facts


parsed_facts = ParsedFacts()
