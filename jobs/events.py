"""The one place that adds events of jobs and keeps the counts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import add

from clusters.callers import Actor, Asker
from clusters.sql.moments import timestamp
from jobs.left_to_do import Work, tell_of_work_after_commit
from jobs.models import Job, Notification
from jobs.notify import tell_after_commit
from jobs.outbox import Told, tell_webhooks
from jobs.room import held_limits_exist
from jobs.sql.allowances import Change, HolderKey, allowances_changed, holders
from jobs.sql.dependencies import JOBS, ends_noted
from jobs.sql.inserts import activity_added, counts_added, events_added, group_counts_added
from jobs.sql.statements import Columns, Statement, run_in_order
from jobs.sql.usage import usage_added
from jobs.states import FINAL, HELD, PUTS_INTO_A_QUEUE, UNTAKEN, Activity, JobState, What
from jobs.traces import trace_after_commit
from jobs.usage import Used, totals


# Not frozen: that makes construction three times slower, and a submission makes thousands.
@dataclass(slots=True, kw_only=True)
class Step:
    """A state change of one job, or another event. `before` is None for a new job.

    `from_cluster_id` and `from_priority` are what the job had before a step that changes them. `used` is of an attempt
    that ran and is over. `leased`: an agent has the job, or had it before.
    """

    job_id: int
    cluster_id: int
    priority: int
    attempt: int
    what: What
    before: JobState | None
    after: JobState
    from_cluster_id: int | None = None
    from_priority: int | None = None
    why: str = ""
    used: Used | None = None
    owner_id: int | None = None
    project_id: int | None = None
    nodes: int = 1
    leased: bool = False
    group: int = 0

    @classmethod
    def of(cls, job: Job, what: What, after: JobState) -> "Step":
        return cls(
            job_id=job.id,
            cluster_id=job.cluster_id,
            priority=job.priority,
            attempt=job.attempt,
            what=what,
            before=JobState(job.state),
            after=after,
            owner_id=job.owner_id,
            project_id=job.project_id,
            nodes=job.nodes,
            leased=bool(job.agent),
            group=job.group,
        )

    @property
    def kind(self) -> tuple[object, ...]:
        """All but the job's id: steps of one kind count alike."""
        where = (self.cluster_id, self.priority, self.from_cluster_id, self.from_priority)
        return (*where, self.what, self.before, self.after, self.group)

    @property
    def activity(self) -> Activity | None:
        return activity_of(self.what, self.after)

    @property
    def ended(self) -> bool:
        """Whether the job is over for those that wait for it: no further attempt follows."""
        return self.after in FINAL

    @property
    def leaves_room(self) -> bool:
        """Whether a member of a group waits for its turn again, or for something else."""
        return self.after == JobState.BLOCKED

    @property
    def counted_before(self) -> tuple[int, str, int] | None:
        if self.before is None:
            return None
        cluster_id = self.cluster_id if self.from_cluster_id is None else self.from_cluster_id
        priority = self.priority if self.from_priority is None else self.from_priority
        return cluster_id, self.before.value, priority

    @property
    def change(self) -> Change:
        """Of what its person and its project have."""
        held = self.leased * ((self.after in HELD) - (self.before in HELD))
        waiting = (self.after in UNTAKEN) - (self.before in UNTAKEN)
        return Change(waiting=waiting, held=held, held_nodes=held * self.nodes)

    @property
    def counted_after(self) -> tuple[int, str, int]:
        return self.cluster_id, self.after.value, self.priority


_ACTIVITIES = {
    What.SUBMITTED: Activity.SUBMITTED,
    What.ACCEPTED: Activity.ACCEPTED,
    What.STARTED: Activity.STARTED,
    What.CANCELLED: Activity.CANCELLED,
    What.LOST: Activity.LOST,
    What.REQUEUED: Activity.REQUEUED,
    What.RETRIED: Activity.REQUEUED,
}


def record(
    steps: Sequence[tuple[Step, Actor | Asker]], *, now: datetime, why: str = "", adopted: Sequence[Job] = ()
) -> None:
    """Adds an event for each step, keeps the counts and tells the servers. Call it last in a transaction.

    Agents have since had the `adopted` jobs, which were accepted without one.
    """
    # Most reports are heartbeats.
    if steps or adopted:
        run_in_order(recorded(steps, now=now, why=why, adopted=adopted))


def recorded(
    steps: Sequence[tuple[Step, Actor | Asker]], *, now: datetime, why: str = "", adopted: Sequence[Job] = ()
) -> list[Statement]:
    """What `record` does, but for the statements, which are to run in this order."""
    trace_after_commit((step for step, _ in steps), now=now)
    # Thousands of submissions are mostly alike; each kind is counted once.
    kinds: dict[tuple[object, ...], list[Step]] = {}
    for step, _ in steps:
        kinds.setdefault(step.kind, []).append(step)
    tell_after_commit(
        cluster_ids={step.cluster_id for step, *_ in kinds.values() if step.what in PUTS_INTO_A_QUEUE}
        | _with_room_again(step for step, _ in steps),
        # No call waits for a job whose id was not known yet.
        job_ids={step.job_id for alike in kinds.values() if alike[0].what != What.SUBMITTED for step in alike},
    )
    tell_of_work_after_commit(Work.GROUPS, _groups_moved(alike[0] for alike in kinds.values()))
    tell_webhooks((one for step, _ in steps if step.project_id and (one := _told(step, why))), now=now)
    ended = {step.job_id for alike in kinds.values() if alike[0].ended for step in alike}
    tell_of_work_after_commit(Work.PARENTS, ended)
    return [
        *([ends_noted(JOBS, ended)] if ended else []),
        *events_added(_columns(steps, timestamp(now), why)),
        *_count_for_people([step for step, _ in steps if step.project_id and step.what != What.SUBMITTED], adopted),
        *_count(kinds.values(), now),
        *usage_added(totals(step.used for step, _ in steps if step.used)),
    ]


def _groups_moved(steps: Iterable[Step]) -> set[int]:
    """Those for which there may be something to do now: not where a member is released or taken."""
    return {step.group for step in steps if step.group and (step.before is None or step.ended or step.leaves_room)}


def _told(step: Step, why: str) -> Told | None:
    """What webhooks of its project are told."""
    if step.ended and step.before not in FINAL:
        kind = Notification.JOB_ENDED
    elif step.what == What.LOST:
        kind = Notification.JOB_LOST
    else:
        return None
    data: dict[str, object] = {"job": step.job_id, "attempt": step.attempt, "state": step.after.value}
    if step.group:
        data["group"] = step.group
    data["reason"] = step.why or why
    return Told(project_id=step.project_id or 0, kind=kind, cluster_id=step.cluster_id, data=data)


def _with_room_again(steps: Iterable[Step]) -> set[int]:
    """The clusters that may take a further job of those whose jobs these were, if what clusters hold is limited."""
    freed = {step.cluster_id for step in steps if step.leased and step.project_id and step.change.held < 0}
    return freed if freed and held_limits_exist() else set()


def _count(kinds: Iterable[list[Step]], now: datetime) -> list[Statement]:
    changes: dict[tuple[int, str, int], int] = defaultdict(int)
    of_groups: dict[tuple[int, str], int] = defaultdict(int)
    activity: dict[tuple[int, str], int] = defaultdict(int)
    for alike in kinds:
        step, jobs = alike[0], len(alike)
        changes[step.counted_after] += jobs
        if step.counted_before:
            changes[step.counted_before] -= jobs
        if step.group and step.after != step.before:
            of_groups[step.group, step.after.value] += jobs
            if step.before:
                of_groups[step.group, step.before.value] -= jobs
        if step.activity:
            activity[step.cluster_id, step.activity.value] += jobs
    return [*counts_added(changes), *group_counts_added(of_groups), *activity_added(activity, now)]


def _count_for_people(steps: Iterable[Step], adopted: Iterable[Job]) -> list[Statement]:
    """Submissions were counted before they made jobs (jobs/services/limits.py)."""
    changes: dict[HolderKey, Change] = {}
    held = [(job.owner_id, job.project_id, Change(held=1, held_nodes=job.nodes)) for job in adopted]
    for owner_id, project_id, change in [*held, *((step.owner_id, step.project_id, step.change) for step in steps)]:
        for key in holders(owner_id, project_id):
            changes[key] = Change(*map(add, changes.get(key, Change()), change))
    return allowances_changed(changes)


def activity_of(what: What, after: JobState) -> Activity | None:
    """What a step counts as; None when it is not counted."""
    return Activity(after.value) if what == What.ENDED else _ACTIVITIES.get(what)


def _columns(steps: Sequence[tuple[Step, Actor | Asker]], at: object, why: str) -> Columns:
    return {
        "job_id": [step.job_id for step, _ in steps],
        "at": [at] * len(steps),
        "what": [step.what.value for step, _ in steps],
        "state": [step.after.value for step, _ in steps],
        "attempt": [step.attempt for step, _ in steps],
        "credential_id": [by.credential if by else None for _, by in steps],
        "operator_id": [by.account if by else None for _, by in steps],
        "why": [step.why or why for step, _ in steps],
        "request_id": [(by.request_id or None) if by else None for _, by in steps],
    }
