"""What servers want of agents before their next reports.

A wish is a hint. What it is about is durable elsewhere, or may be asked for again: a wish that no agent collects within
LIVE_FOR is forgotten.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import transaction

from clusters.callers import Asker, Caller
from clusters.validation import check_reason
from jobs.agents import check_name, check_place_of
from jobs.events import Step, record
from jobs.models import Job, Wish
from jobs.notify import tell_agents_after_commit
from jobs.queries.wishes import LIVE_FOR
from jobs.states import JobState, What, WishKind
from rainbow.errors import InvalidArgument

MOST_DONE = 1_000
_FORGET_AT_ONCE = 10_000


def want_a_look_at_cancels(jobs: Iterable[Job], *, now: datetime) -> None:
    """One wish for each agent that has some of these jobs, of which cancels are requested."""
    want(
        [
            Wish(kind=WishKind.CANCEL, cluster_id=cluster_id, agent=agent, made_at=now)
            for cluster_id, agent in sorted({(job.cluster_id, job.agent) for job in jobs})
        ]
    )


def want(wishes: Iterable[Wish]) -> None:
    """Within the transaction of what they are about."""
    made = Wish.objects.bulk_create(wishes)
    tell_agents_after_commit({(wish.cluster_id, wish.agent) for wish in made})


def check_agent(*, caller: Caller, agent: str) -> None:
    """Raises InvalidArgument."""
    check_place_of(caller)
    check_name(agent, caller, required=True)


def settle_wishes(*, caller: Caller, agent: str, done: Mapping[int, str], now: datetime) -> None:
    """What became of wishes, by id: empty, or why one could not be done. Unknown ones are ignored.

    Raises InvalidArgument.
    """
    check_agent(caller=caller, agent=agent)
    if len(done) > MOST_DONE:
        raise InvalidArgument(f"must be at most {MOST_DONE:,}, not {len(done):,}", field="done")
    for error in done.values():
        check_reason(error, field="error")
    if done:
        _settle(caller, agent, done, now)


@transaction.atomic
def _settle(caller: Caller, agent: str, done: Mapping[int, str], now: datetime) -> None:
    mine = Wish.objects.filter(cluster_id=caller.cluster_id, agent=agent)
    settled = mine.filter(id__in=done)
    ids = set(settled.filter(kind=WishKind.SIGNAL).values_list("job_id", flat=True))
    # Before the wishes, by the lock order.
    jobs = {job.id: job for job in _locked(ids)} if ids else {}
    wishes = list(settled.select_for_update().order_by("id"))
    latest = max((wish.id for wish in wishes if wish.kind == WishKind.CANCEL), default=0)
    mine.filter(kind=WishKind.CANCEL, id__lte=latest).delete()
    settled.delete()
    signals = [wish for wish in wishes if wish.kind == WishKind.SIGNAL]
    record([_step(wish, jobs[wish.job_id], done[wish.id]) for wish in signals if wish.job_id in jobs], now=now)


def _locked(ids: Iterable[int]) -> Iterable[Job]:
    whole = Job.objects.filter(id__in=ids).defer("output", "command", "environment")
    return whole.select_for_update().order_by("id")


def _step(wish: Wish, job: Job, error: str) -> tuple[Step, Asker]:
    step = Step.of(job, What.SIGNALLED, JobState(job.state))
    name = wish.content["signal"]
    step.why = f"{name} could not be sent: {error}" if error else name
    by = Asker(credential=wish.credential_id, account=wish.operator_id, request_id=wish.request_id or "")
    return step, by


def forget_wishes(*, now: datetime) -> int:
    """Deletes those that no agent collected in time; returns how many."""
    old = Wish.objects.filter(made_at__lt=now - LIVE_FOR - timedelta(seconds=5)).order_by("id")
    ids = list(old.values_list("id", flat=True)[:_FORGET_AT_ONCE])
    return Wish.objects.filter(id__in=ids).delete()[0] if ids else 0
