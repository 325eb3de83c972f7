"""What `rainbow agent --dry-run` shows: what an agent would take now."""

from collections.abc import Sequence
from dataclasses import dataclass

from rainbow.agent.context import AgentContext
from rainbow.agent.free_capacity import MOST_AT_ONCE, FreeCapacity
from rainbow.executors.executor import Capacity
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


def planned(context: AgentContext) -> Plan:
    capacity = context.executor.capacity()
    waiting = context.client.request_jobs(max_jobs=MOST_SHOWN)
    free = FreeCapacity(nodes=capacity.nodes, slots=capacity.slots, jobs=MOST_AT_ONCE)
    refusals = _refusals(context, waiting.jobs)
    possible = [job for job in waiting.jobs if not refusals[job.id]] if not capacity.not_ready else []
    fitting = {job.id for job in free.fitting(possible, context.executor.slots)}
    jobs = (PlannedJob(job=job, verdict=_verdict(refusals[job.id], fits=job.id in fitting)) for job in waiting.jobs)
    broken = (PlannedJob(job=job, verdict=_verdict(job.reason, fits=False)) for job in waiting.broken)
    return Plan(capacity=capacity, paused=waiting.paused, jobs=(*jobs, *broken))


def _refusals(context: AgentContext, jobs: Sequence[WaitingJob]) -> dict[int, str]:
    refusals = {job.id: context.refusal_of_offer(work_of(job)) for job in jobs}
    asked = [job.id for job in jobs if not job.pool] if context.asks_whose else []
    whole = context.client.get_jobs(asked).jobs if asked else ()
    return {**refusals, **{job.id: context.refusal(work_of(job)) for job in whole}}


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
