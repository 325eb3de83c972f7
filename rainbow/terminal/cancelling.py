"""Jobs that are cancelled by what they have in common, once somebody has said yes to their number."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from rainbow.client import Client
from rainbow.outcomes import CancelOutcome
from rainbow.records import CancelResult
from rainbow.states import FINAL_STATES, JobState
from rainbow.terminal.formatting import count
from rainbow.terminal.output import complain, say
from rainbow.text import on_one_line, printable

STOPPABLE = tuple(state for state in JobState if state not in FINAL_STATES and state != JobState.UNSPECIFIED)
JOBS_PER_PAGE = JOBS_PER_CALL = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Newest first."""

    jobids: Sequence[int]
    states: Mapping[JobState, int]
    clusters: int

    def __str__(self) -> str:
        states = ", ".join(f"{number:,} {state}" for state, number in sorted(self.states.items()))
        where = f", of {count(self.clusters, 'cluster')}" if self.clusters > 1 else ""
        return f"{count(len(self.jobids), 'job')} ({states}){where}"


def chosen(client: Client, *, states: Sequence[JobState], labels: Mapping[str, str]) -> Chosen:
    """Those in these states, or in any in which they can be stopped."""
    jobids, counted, clusters = list[int](), Counter[JobState](), set[str]()
    for job in client.list_jobs(states=states or STOPPABLE, labels=labels, page_size=JOBS_PER_PAGE):
        jobids.append(job.id)
        counted[job.state] += 1
        clusters.add(job.cluster)
    return Chosen(jobids=jobids, states=counted, clusters=len(clusters))


def agreed(question: str) -> bool:
    """Asks on the standard error, since the standard output may be a document. Raises UsageError if nobody answers."""
    click.echo(printable(f"{question} [y/N] "), err=True, nl=False)
    answer = sys.stdin.readline()
    if not answer:
        complain("")
        raise click.UsageError("Nobody answered; --yes cancels without a question.")
    return answer.strip().lower() in ("y", "yes")


def cancelled(client: Client, jobids: Sequence[int], *, reason: str) -> Iterator[CancelResult]:
    for start in range(0, len(jobids), JOBS_PER_CALL):
        yield from client.cancel_jobs(jobids[start : start + JOBS_PER_CALL], reason=reason)


def tell(
    results: Sequence[CancelResult], *, words: Mapping[CancelOutcome, str], of_many: Mapping[CancelOutcome, str]
) -> None:
    """Numbers, and a line only for each that goes on."""
    outcomes = Counter(result.outcome for result in results)
    for outcome in (CancelOutcome.CANCELLED, CancelOutcome.REQUESTED, CancelOutcome.ALREADY_FINAL):
        if number := outcomes[outcome]:
            say(f"{count(number, 'job')}: {(words if number == 1 else of_many)[outcome]}")
    for result in results:
        if not is_done(result):
            complain(on_one_line(f"Job {result.jobid}: {result.message or words[result.outcome]}"))


def is_done(result: CancelResult) -> bool:
    """Also of one that ended by itself meanwhile."""
    return result.outcome in (CancelOutcome.CANCELLED, CancelOutcome.REQUESTED, CancelOutcome.ALREADY_FINAL)
