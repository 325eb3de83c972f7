"""The jobs that Slurm's commands name by ids and filters."""

import getpass
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import Any

import click

from rainbow.client import Client
from rainbow.errors import NO_SUCH_JOB, InvalidArgument, NotFound
from rainbow.records import Job
from rainbow.slurm_commands.dependencies import Dependency
from rainbow.slurm_commands.job_ids import JobRef, array_id, job_ref
from rainbow.slurm_commands.job_states import ACTIVE, server_states
from rainbow.slurm_commands.selection import Selection, items
from rainbow.slurm_commands.waiting_tasks import Entry, entries
from rainbow.terminal.completion import cluster_names
from rainbow.terminal.options import flags
from rainbow.terminal.output import complain

PAGE_SIZE = 1000
# Of all jobs that are over, the newest of these are looked at, where no id says which are meant.
MOST_ENDED = 10_000


def selecting_options(*, name: str, partition: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Passes `users`, `me`, `names`, `partitions` and `accounts`, for `selection`. Two have other letters in sacct."""
    options = (
        click.option("-A", "--account", "--accounts", "accounts", multiple=True, metavar="NAME,...", help="Accounts."),
        click.option(partition, "--partition", "partitions", multiple=True, metavar="NAME,...", help="Partitions."),
        click.option(
            *dict.fromkeys((name, "--name")), "names", multiple=True, metavar="NAME,...", help="Names of jobs."
        ),
        click.option("--me", is_flag=True, help="Your jobs; of a token of no person, all that it reaches."),
        click.option("-u", "--user", "--users", "users", multiple=True, metavar="NAME,...", help="Whose jobs."),
        click.option(
            *("-M", "--clusters", "--cluster"),
            expose_value=False,
            callback=_remember_cluster,
            shell_complete=cluster_names,
            metavar="NAME",
            help="The cluster, as --cluster-name.",
        ),
    )

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            command = option(command)
        return command

    return with_options


def selection(
    *,
    users: Sequence[str],
    me: bool,
    names: Sequence[str],
    partitions: Sequence[str],
    accounts: Sequence[str],
    states: frozenset[str] | None,
) -> Selection:
    """Who asks for the user of this machine means their own jobs."""
    asked = items(users)
    return Selection(
        states=states,
        names=items(names),
        partitions=items(partitions),
        accounts=items(accounts),
        users=asked - {own_name()},
        mine=me or own_name() in asked,
    )


def of_caller(client: Client, selection: Selection) -> Selection:
    """Of a person `mine` are those that they own, who may see, and stop, the jobs of others; of another credential all
    that it reaches.
    """
    if not selection.mine:
        return selection
    person = client.who_am_i().person
    return replace(selection, mine=False, users=selection.users | {person} if person else frozenset())


def own_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def selected(client: Client, selection: Selection) -> Iterator[Job]:
    """Newest first."""
    wanted = server_states(selection.states)
    listed = client.list_jobs(states=wanted, name=selection.name, page_size=PAGE_SIZE)
    ended = 0
    for job in listed:
        if job.state not in ACTIVE:
            ended += 1
            if ended > MOST_ENDED:
                complain(f"Only the newest {MOST_ENDED:,} jobs that are over were looked at; name ids, or a name.")
                return
        if selection.fits(job):
            yield job


def jobs_of(client: Client, refs: Sequence[JobRef]) -> tuple[list[Job], list[JobRef]]:
    """The jobs that these name, and those that name none. The members of an array are listed once."""
    single = client.get_jobs([ref.jobid for ref in refs if ref.jobid])
    jobs, missing = list(single.jobs), [JobRef(jobid=jobid) for jobid in single.missing]
    arrays = {ref.group: _members_or_none(client, ref) for ref in _joined(refs)}
    for ref in refs:
        if ref.jobid:
            continue
        found = [job for job in arrays[ref.group] if not ref.indexes or job.array_index in ref.indexes]
        jobs += found
        missing += [] if found else [ref]
    return jobs, missing


def _joined(refs: Sequence[JobRef]) -> Iterator[JobRef]:
    """One for each array, with all that is meant of it."""
    by_group: dict[int, list[JobRef]] = {}
    for ref in refs:
        if not ref.jobid:
            by_group.setdefault(ref.group, []).append(ref)
    for group, of_it in by_group.items():
        whole = not all(ref.indexes for ref in of_it)
        yield JobRef(group=group, indexes=frozenset() if whole else frozenset().union(*(ref.indexes for ref in of_it)))


def listed(client: Client, jobs: Iterable[Job], *, each_task: bool) -> Iterator[Entry]:
    """The lines of squeue and sacct: one for all tasks of an array that wait, unless each is wanted."""
    if each_task:
        return (Entry(job=job) for job in jobs)
    return entries(jobs, at_once=cache(partial(_at_once, client)))


def _at_once(client: Client, group: int) -> int:
    """0 where only its jobs are to be seen: a cluster has some of a pool's group."""
    try:
        return client.get_group(group).at_once
    except NotFound:
        return 0


def jobids_of(client: Client, refs: Sequence[JobRef]) -> list[int]:
    """The ids of these jobs and tasks. Raises NotFound where a task is missing."""
    arrays = {ref.group: {job.array_index: job.id for job in tasks(client, ref)} for ref in _joined(refs)}
    return [
        jobid
        for ref in refs
        for jobid in ([ref.jobid] if ref.jobid else [arrays[ref.group][index] for index in sorted(ref.indexes)])
    ]


def tasks(client: Client, ref: JobRef) -> list[Job]:
    """The tasks of an array by their indexes. Raises NotFound where one is missing."""
    found = {job.array_index: job for job in members(client, ref)}
    missing = sorted(ref.indexes - found.keys())
    if missing:
        raise NotFound(f"{NO_SUCH_JOB}: {array_id(ref.group)}_{missing[0]}")
    return [found[index] for index in sorted(ref.indexes)]


def after_terms(client: Client, dependencies: Iterable[Dependency]) -> Iterator[str]:
    """As a job names what it waits for. Raises NotFound where a task is missing."""
    for dependency in dependencies:
        job = dependency.job
        if job.jobid:
            yield f"{dependency.wants}:{job.jobid}"
        elif job.indexes:
            yield from (f"{dependency.wants}:{task.id}" for task in tasks(client, job))
        else:
            yield f"{dependency.wants}:group:{job.group}"


def with_tasks_by_id(client: Client, terms: Iterable[str]) -> Iterator[str]:
    """What a job waits for, with the jobs that tasks are, and the groups that arrays are, in their place.

    What is none of these is left to the server, which says what is allowed. Raises NotFound where a task is missing.
    """
    for term in terms:
        wants, _, name = term.removeprefix("group:").replace(":group:", ":").rpartition(":")
        try:
            ref = job_ref(name)
        except InvalidArgument:
            yield term
            continue
        if ref.jobid or ("group:" in term and ref.indexes):
            yield term
        else:
            yield from after_terms(client, [Dependency(wants=wants or "ok", job=ref)])


def members(client: Client, ref: JobRef) -> Iterator[Job]:
    """Those of an array, which raises NotFound where there is no such group, or the tasks of it that are meant."""
    jobs = client.list_jobs(group=ref.group, page_size=PAGE_SIZE)
    if not ref.indexes:
        client.get_group(ref.group)
        return jobs
    return islice((job for job in jobs if job.array_index in ref.indexes), len(ref.indexes))


def shown_ref(ref: JobRef) -> str:
    if ref.jobid:
        return str(ref.jobid)
    indexes = ",".join(map(str, sorted(ref.indexes)))
    return f"{array_id(ref.group)}{f'_[{indexes}]' if len(ref.indexes) > 1 else f'_{indexes}' if indexes else ''}"


def _members_or_none(client: Client, ref: JobRef) -> list[Job]:
    try:
        return list(members(client, ref))
    except NotFound:
        return []


def _remember_cluster(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None or value == "all":
        return
    if "," in value:
        raise click.UsageError(f"{param.opts[0]}: name one cluster, or a pool of several.", ctx)
    flags(ctx)["cluster"] = value
