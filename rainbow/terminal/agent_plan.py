"""What `rainbow agent --dry-run` shows: what an agent would take now."""

from dataclasses import dataclass

from rainbow.agent.free_capacity import MOST_AT_ONCE, FreeCapacity
from rainbow.agent.people import People
from rainbow.agent.policy import Policy
from rainbow.client import Client
from rainbow.executors.executor import Capacity, Executor, NotTaken, WorkRefused
from rainbow.executors.site_options import at_cluster
from rainbow.records import BrokenJob, WaitingJob
from rainbow.specs import work_of
from rainbow.terminal.formatting import count
from rainbow.terminal.output import say
from rainbow.terminal.tables import show_table
from rainbow.text import on_one_line

COLUMNS = ("ID", "NODES", "TASKS", "WOULD BE", "COMMAND")
MOST_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """`verdict`: taken, refused with its reason, or left."""

    job: WaitingJob | BrokenJob
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`paused` is why the server hands out no jobs now."""

    capacity: Capacity
    paused: str
    jobs: tuple[PlannedJob, ...]


def planned(client: Client, executor: Executor, policy: Policy, people: People) -> Plan:
    capacity = executor.capacity()
    waiting = client.request_jobs(max_jobs=MOST_SHOWN)
    free = FreeCapacity(nodes=capacity.nodes, slots=capacity.slots, jobs=MOST_AT_ONCE)
    refusals = {job.id: _refusal(job, client.cluster, executor, policy, people) for job in waiting.jobs}
    possible = [job for job in waiting.jobs if not refusals[job.id]] if not capacity.not_ready else []
    fitting = {job.id for job in free.fitting(possible, executor.slots)}
    jobs = (PlannedJob(job=job, verdict=_verdict(refusals[job.id], fits=job.id in fitting)) for job in waiting.jobs)
    broken = (PlannedJob(job=job, verdict=_verdict(job.reason, fits=False)) for job in waiting.broken)
    return Plan(capacity=capacity, paused=waiting.paused, jobs=(*jobs, *broken))


def _refusal(job: WaitingJob, cluster: str, executor: Executor, policy: Policy, people: People) -> str:
    try:
        here = people.as_owner(at_cluster(work_of(job), cluster))
    except (WorkRefused, NotTaken) as refused:
        return refused.message
    return policy.check(here) or executor.never(here)


def show_plan(plan: Plan) -> None:
    if plan.paused:
        say(on_one_line(f"The cluster is paused: {plan.paused}"))
    if plan.capacity.not_ready:
        say(on_one_line(f"The scheduler is not ready: {plan.capacity.not_ready}"))
    say(f"Free: {count(plan.capacity.nodes, 'node')}, {count(plan.capacity.slots, 'slot')}.")
    if not plan.jobs:
        say("No jobs wait.")
        return
    show_table(COLUMNS, [_row(item) for item in plan.jobs])


def _row(item: PlannedJob) -> tuple[str, ...]:
    if isinstance(item.job, BrokenJob):
        return str(item.job.id), "-", "-", item.verdict, "-"
    return str(item.job.id), str(item.job.nodes), str(item.job.tasks or "-"), item.verdict, item.job.command


def _verdict(refusal: str, *, fits: bool) -> str:
    if refusal:
        return f"refused: {refusal}"
    return "taken" if fits else "left: it does not fit now"
