"""Putting jobs into queues, and making the queues that are missing."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q

from clusters.callers import Actor, Caller
from clusters.models import PoolMember
from clusters.sql.moments import timestamp
from jobs.models import Job, Queue, Serves
from jobs.placement import BOUNDED, PLACING_FIELDS, Definition, definition_of
from jobs.services.serving import serve
from jobs.sql.queues import KnownQueue, insert_queues, known_queues
from jobs.sql.statements import Columns
from jobs.states import JobState

# Queues. Beyond them jobs of all kinds go into one, of which a request looks at a limited number one by one.
MOST_OF_CLUSTER = 1_000
MOST_OF_CREDENTIAL = 100
_PART = 1_000
# The columns of a job that decide its queue.
DECISIVE = ("id", "cluster_id", "submitted_to_id", "given_back", *PLACING_FIELDS)


# What a job's queue is to be, and who submits it; None is the server.
Wanted = tuple[Definition, Actor]


def queues_for(
    wanted: Iterable[Wanted], *, known: Mapping[bytes, KnownQueue] | None = None, now: datetime
) -> dict[bytes, int]:
    """The ids of these queues, by their digests; those that are missing are made.

    One that would be too many is replaced by the mixed queue of its cluster or pool. There is one for each list of
    clusters that jobs name; of these, too, a credential makes so many, and those beyond are left out. Call it in the
    transaction that puts jobs into them; `known` are those that were found in it before.
    """
    distinct = {definition.digest: (definition, by) for definition, by in wanted}
    known = known_queues(distinct.keys()) if known is None else known
    ids = {digest: known[digest].id for digest in distinct.keys() & known.keys()}
    missing = {digest: distinct[digest] for digest in sorted(distinct.keys() - ids.keys())}
    return ids | _made(missing, now) if missing else ids


def put_in_queues(jobs: Sequence[Job], *, now: datetime) -> None:
    """Puts waiting jobs, locked by the caller, into the queues for what they are now."""
    definitions = {job.id: definition_of(job.cluster_id, job) for job in jobs}
    if not definitions:
        return
    ids = queues_for(((definition, None) for definition in definitions.values()), now=now)
    of_queue: dict[int, list[int]] = defaultdict(list)
    for job in jobs:
        job.queue_id = ids[definitions[job.id].digest]
        of_queue[job.queue_id].append(job.id)
    for queue_id, job_ids in of_queue.items():
        Job.objects.filter(id__in=job_ids).update(queue_id=queue_id)


@transaction.atomic
def place_waiting_jobs(*, now: datetime) -> int:
    """Puts up to 1,000 jobs into queues that have none: those of before an upgrade. Returns how many there were."""
    waiting = Job.objects.in_state(JobState.QUEUED).filter(queue__isnull=True).only(*DECISIVE)
    jobs = list(waiting.order_by("id").select_for_update(skip_locked=True)[:_PART])
    put_in_queues(jobs, now=now)
    return len(jobs)


def _made(missing: Mapping[bytes, Wanted], now: datetime) -> dict[bytes, int]:
    definitions = _without_too_many_lists(_without_too_many(missing))
    distinct = {definition.digest: (definition, by) for definition, by in definitions.values()}
    new = {bytes(digest): id for digest, id in insert_queues(_columns(distinct, now))}
    serve([(queue_id, distinct[digest][0]) for digest, queue_id in new.items()])
    # Some were there: the mixed queue, or what another transaction made just now.
    ids = new if new.keys() == distinct.keys() else _ids(known_queues(distinct.keys()))
    return {digest: ids[definition.digest] for digest, (definition, _) in definitions.items()}


def _ids(known: Mapping[bytes, KnownQueue]) -> dict[bytes, int]:
    return {digest: queue.id for digest, queue in known.items()}


def _without_too_many(missing: Mapping[bytes, Wanted]) -> dict[bytes, Wanted]:
    kept: dict[bytes, Wanted] = {}
    of_cluster, of_credential = _Rest(_most_served, MOST_OF_CLUSTER), _Rest(_made_by, MOST_OF_CREDENTIAL)
    for digest, (definition, by) in missing.items():
        # The second costs more the more clusters a pool has.
        few = not isinstance(by, Caller) or of_credential.take(by.credential_id)
        few = few and of_cluster.take(definition.cluster_id)
        kept[digest] = (definition if few else definition.as_mixed, by)
    return kept


def _without_too_many_lists(definitions: Mapping[bytes, Wanted]) -> dict[bytes, Wanted]:
    """Leaves out the mixed queues of jobs that name clusters which would be too many of a credential."""
    mixed = {one.digest for one, by in definitions.values() if one.mixed and one.clusters and isinstance(by, Caller)}
    allowed = set(known_queues(mixed)) if mixed else set[bytes]()
    of_credential = _Rest(_made_by, 2 * MOST_OF_CREDENTIAL)
    for definition, by in definitions.values():
        if isinstance(by, Caller) and definition.digest in mixed - allowed and of_credential.take(by.credential_id):
            allowed.add(definition.digest)
    return {digest: one for digest, one in definitions.items() if one[0].digest not in mixed - allowed}


class _Rest:
    """How many more queues there may be, by id: the most, less those that are there."""

    def __init__(self, there: Callable[[int], int], most: int) -> None:
        self._there = there
        self._most = most
        self._left: dict[int, int] = {}

    def take(self, id: int) -> bool:
        if id not in self._left:
            self._left[id] = self._most - self._there(id)
        self._left[id] -= 1
        return self._left[id] >= 0


def _made_by(credential_id: int) -> int:
    return Queue.objects.filter(made_by=credential_id).count()


def _most_served(cluster_id: int) -> int:
    """How many queues that one serves which serves the most, of the clusters that jobs submitted there may go to.

    When their facts change, they may serve all queues of their home, also those that none serves now.
    """
    members = PoolMember.objects.filter(pool_id=cluster_id).values("cluster_id")
    served = Serves.objects.filter(Q(cluster_id=cluster_id) | Q(cluster_id__in=members))
    most = max(served.values("cluster_id").annotate(queues=Count("id")).values_list("queues", flat=True), default=0)
    return max(most, Queue.objects.filter(cluster_id=cluster_id).count())


def _columns(wanted: Mapping[bytes, Wanted], now: datetime) -> Columns:
    definitions = [definition for definition, _ in wanted.values()]
    columns: dict[str, list[object]] = {
        "cluster_id": [one.cluster_id for one in definitions],
        "digest": list(wanted),
        "definition": [one.as_json() for one in definitions],
        "plain": [one.plain for one in definitions],
        "made_by_id": [by.credential if by else None for _, by in wanted.values()],
        "made_at": [timestamp(now)] * len(definitions),
    }
    ranges = {name: [one.sizes[name] for one in definitions] for name in BOUNDED}
    for name, bounds in (ranges | {"cores": [one.cores for one in definitions]}).items():
        columns[f"least_{name}"] = [one.least for one in bounds]
        columns[f"most_{name}"] = [one.most for one in bounds]
    return columns
