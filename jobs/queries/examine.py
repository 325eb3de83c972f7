"""Looking at single jobs of a queue of which some fit a request and some do not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from clusters.facts import Facts
from clusters.matching import fits
from clusters.models import Cluster, Streak
from clusters.parsed_facts import parsed_facts
from clusters.sql.moments import as_datetime
from jobs.models import cores_of
from jobs.placement import DEMAND_FIELDS, demand_of
from jobs.room import Room
from jobs.specs import values_read
from jobs.sql.queues import ServedQueue
from jobs.sql.statements import Row

EXAMINED = ("submitted_by_id", "submitted_at", "owner_id", "project_id", *DEMAND_FIELDS, "given_back")
# Reading so much text takes as long as a row.
_BYTES = 1_024
_CORES = ("nodes", "tasks", "cores_per_task")


@dataclass(kw_only=True)
class Examination:
    """By a cluster that asks within these bounds. `room` None: limits on what is held keep no job waiting."""

    cluster_id: int
    at_most: Mapping[str, int]
    room: Room | None
    now: datetime

    def passes(self, row: Row, queue: ServedQueue) -> bool:
        """Whether the cluster may take the job, of which these are the EXAMINED columns."""
        job = dict(zip(EXAMINED, row, strict=True))
        return (
            self._is_within(job)
            and (not self.room or not self._lacks_room(self.room, job))
            and (not queue.holds_back or job["submitted_by_id"] not in self._held)
            and (not queue.after_seconds or self._is_due(job["submitted_at"], queue.after_seconds))
            and (queue.fits or self._suits(job))
        )

    def _is_within(self, job: Mapping[str, Any]) -> bool:
        for name, most in self.at_most.items():
            if (cores_of(**{name: job[name] for name in _CORES}) if name == "cores" else job[name]) > most:
                return False
        return True

    def _lacks_room(self, room: Room, job: Mapping[str, Any]) -> bool:
        # Jobs of clusters' own tokens count for none.
        return bool(job["project_id"] and room.lacks(job["owner_id"], job["project_id"], job["nodes"]))

    def _suits(self, job: Mapping[str, Any]) -> bool:
        if str(self.cluster_id) in json.loads(job["given_back"]):
            return False
        name, facts = self._cluster
        return fits(demand_of(values_read({name: job[name] for name in DEMAND_FIELDS}), name), facts)

    def _is_due(self, submitted_at: datetime, after_seconds: int) -> bool:
        return as_datetime(submitted_at) <= self.now - timedelta(seconds=after_seconds)

    @cached_property
    def _held(self) -> frozenset[int]:
        """The tokens whose jobs the cluster holds back."""
        held = Streak.objects.filter(cluster_id=self.cluster_id, held_at__isnull=False)
        return frozenset(held.values_list("credential_id", flat=True))

    @cached_property
    def _cluster(self) -> tuple[str, Facts]:
        name = Cluster.objects.values_list("name", flat=True).get(id=self.cluster_id)
        return name, parsed_facts.of([self.cluster_id])[self.cluster_id]


def cost_of(row: Row) -> int:
    """Of looking at a row, in plain ones. Needs and options may be 24 KiB of JSON."""
    return 1 + sum(len(value) for value in row if isinstance(value, str)) // _BYTES
