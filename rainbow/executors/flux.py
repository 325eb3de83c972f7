"""Flux, through its Python bindings where they import, else through its command."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from rainbow.executors import flux_bindings
from rainbow.executors.claims import claimed_by, withdrawing
from rainbow.executors.commands import all_submitted
from rainbow.executors.containers import write_inside
from rainbow.executors.endings import gone
from rainbow.executors.environment import job_environment
from rainbow.executors.executor import Access, Capacity, Executor, JobPhase, Progress, Site, Ticket, WorkRefused
from rainbow.executors.flux_bindings import BindingsMissing, FluxBindings
from rainbow.executors.flux_command import FluxCommand
from rainbow.executors.flux_events import FluxEvents
from rainbow.executors.flux_facts import FluxResources, partitions
from rainbow.executors.flux_jobs import FluxJob, FluxJobs, is_native_id
from rainbow.executors.flux_queues import FluxQueue, capacity
from rainbow.executors.flux_request import FluxRequest
from rainbow.executors.flux_resources import not_in_flux, resources
from rainbow.executors.flux_script import script
from rainbow.executors.folders import MOST_LISTED, JobFolder, Listed, folder_of, moment
from rainbow.executors.housekeeping import Housekeeping
from rainbow.executors.job_files import with_files
from rainbow.executors.options import value_of
from rainbow.executors.payload import write_secrets
from rainbow.executors.sizes import total_cores
from rainbow.executors.withdrawals import begin, settled
from rainbow.facts import Facts
from rainbow.specs import Work

FORGOTTEN_RUNNING = gone("Flux no longer knows the job, which had started")
FORGOTTEN_WAITING = gone("Flux no longer knows the job, which had not started")
CLOCKS_DIFFER_SECONDS = 3600
BY_BINDINGS = "by Flux's Python bindings"
BY_COMMAND = "by the flux command, since this Python has no bindings of Flux"
ADVICE = (
    "Flux's Python bindings are ten times faster than its command. Let the agent run in a Python of the version that "
    "Flux was built for, with cffi and ply, and with the folder that `flux env printenv PYTHONPATH` prints in "
    "PYTHONPATH."
)


class FluxClient(Protocol):
    """Flux by its command or by its bindings. Raises as an executor does."""

    def queues(self) -> list[FluxQueue]: ...

    def resources(self) -> FluxResources: ...

    def status(self, queue: str) -> str:
        """Why a queue takes or starts no jobs."""

    @property
    def most_together(self) -> int:
        """How many `submit_together` takes; with 1 it is not called."""

    def submit(self, request: FluxRequest) -> str: ...

    def submit_together(self, requests: Sequence[FluxRequest]) -> dict[str, str]:
        """The native ids by name of what Flux took. It certainly has none of the others."""

    def jobs(self, native_ids: Collection[str]) -> FluxJobs: ...

    def named(self, names: Collection[str], *, since: float) -> list[FluxJob]:
        """This user's jobs of these names, latest first, without those that ended before `since`, as in time(2); 0 is
        no limit. Flux fails when it has to search too many.
        """

    def hold(self, native_ids: Collection[str]) -> None:
        """Keep those that wait from being given resources."""

    def cancel(self, native_ids: Collection[str]) -> None: ...

    def signal(self, native_id: str, name: str) -> None: ...

    def changes(self) -> Iterator[str]:
        """As FluxEvents follows them."""


def flux_executor(site: Site) -> Executor:
    try:
        found = flux_bindings.find()
    except BindingsMissing as reason:
        return FluxExecutor(
            site, FluxCommand(site), access=Access(description=f"{BY_COMMAND}: {reason}", advice=ADVICE, at_once=4)
        )
    return FluxExecutor(site, FluxBindings(found, site), access=Access(description=BY_BINDINGS))


class FluxExecutor:
    def __init__(self, site: Site, client: FluxClient, *, access: Access) -> None:
        self._site = site
        self._housekeeping = Housekeeping(site)
        self._client = client
        self._queue = value_of(site.options, "-q", "--queue")
        self._access = access
        self._events = FluxEvents(client.changes)

    @property
    def access(self) -> Access:
        flows = self._events.flows
        return replace(self._access, tells_ends=flows, tells_changes=flows)

    def capacity(self) -> Capacity:
        return capacity(self._client.queues(), chosen=self._queue, status=self._client.status)

    def facts(self) -> Facts:
        resources = self._client.resources()
        values = {"scheduler": "flux", "scheduler_version": resources.version}
        return Facts(values=values, partitions=tuple(partitions(resources, chosen=self._queue)))

    def slots(self, work: Work) -> int:
        return total_cores(work)

    def never(self, work: Work) -> str:
        return not_in_flux(work) or self._site.containers.never(work)

    def submit(self, work: Work, key: str) -> str:
        return self._client.submit(self._request(work, key))

    def batches(self, works: Mapping[str, Work]) -> list[list[str]]:
        keys, most = list(works), self._client.most_together
        cut = [keys[first : first + most] for first in range(0, len(keys), most)]
        return [batch for batch in cut if len(batch) > 1]

    def submit_together(self, works: Mapping[str, Work]) -> dict[str, str]:
        return self._client.submit_together([self._request(work, key) for key, work in works.items()])

    def _request(self, work: Work, key: str) -> FluxRequest:
        if never := self.never(work):
            raise WorkRefused(never)
        folder = self._folder(key)
        folder.make()
        work = with_files(work, folder)
        write_inside(work, folder)
        write_secrets(work, folder)
        folder.notes.write_once("submitted", f"{time.time():.0f}\n")
        return FluxRequest(
            name=key,
            script=self._script(work, folder),
            folder=str(folder.path),
            output=str(folder.output),
            errors=str(folder.errors),
            resources=resources(work),
            environment=job_environment(self._site.environment, {}),
        )

    def find(self, keys: Collection[str]) -> dict[str, str]:
        all_submitted(self._site.folder)
        ours = self._ours(keys)
        # What Flux no longer knows ran all the same, if it made its claim.
        claimed = {key: claimed_by(self._folder(key)) for key in keys if key not in ours}
        forgotten = {key: claim for key, claim in claimed.items() if is_native_id(claim)}
        return forgotten | {key: self._current(key, natives[-1], natives) for key, natives in ours.items()}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        """Where Flux tells of changes, only of those that changed."""
        due = self._events.take_due({ticket.native_id for ticket in tickets})
        still: set[str] = set()
        try:
            told, still = self._told([ticket for ticket in tickets if ticket.native_id in due])
        finally:
            self._events.ask_again(due - still)
        return told

    def _told(self, tickets: Collection[Ticket]) -> tuple[dict[str, Progress], set[str]]:
        """Their progress by key, and the native ids of those that will not change without an event of their own."""
        natives = self._natives(tickets)
        wanted = {native for native in natives.values() if is_native_id(native)}
        seen = self._client.jobs(wanted) if wanted else FluxJobs()
        unknown = seen.unknown | (set(natives.values()) - wanted)
        known = {job.native_id: job.progress for job in seen.jobs}
        found = {ticket: known[natives[ticket.key]] for ticket in tickets if natives[ticket.key] in known}
        found |= {ticket: self._forgotten(ticket) for ticket in tickets if natives[ticket.key] in unknown}
        told = {
            ticket.key: settled(self._folder(ticket.key), progress)
            for ticket, progress in found.items()
            if not self._is_over_for_another(ticket, natives[ticket.key], progress)
        }
        still = {
            ticket.native_id
            for ticket, progress in found.items()
            if progress.phase in (JobPhase.PENDING, JobPhase.RUNNING) and natives[ticket.key] == ticket.native_id
        }
        return {key: progress for key, progress in told.items() if progress}, still

    def notify(self, changed: Callable[[], None]) -> None:
        self._events.notify = changed
        self._events.start()

    def cancel(self, tickets: Collection[Ticket]) -> None:
        with withdrawing([self._folder(ticket.key) for ticket in tickets]):
            natives = {ticket.native_id for ticket in tickets} | set(self._natives(tickets).values())
            if known := sorted(filter(is_native_id, natives)):
                self._client.cancel(known)

    def withdraw(self, tickets: Collection[Ticket]) -> None:
        """Flux cancels also what started meanwhile. So a job is held before, and only if that is in time it is
        cancelled.
        """
        waiting = self._waiting(tickets)
        if not waiting:
            return
        for key in waiting:
            begin(self._folder(key))
        self._client.hold([job.native_id for job in waiting.values()])
        if held := sorted(job.native_id for job in self._waiting(tickets).values() if job.held):
            self._client.cancel(held)

    def signal(self, ticket: Ticket, name: str) -> None:
        native_id = self._natives([ticket])[ticket.key]
        if is_native_id(native_id):
            self._client.signal(native_id, name)

    def output(self, ticket: Ticket) -> str:
        return self._folder(ticket.key).tail()

    def part(self, ticket: Ticket, output: str, *, start: int, most_bytes: int) -> bytes:
        return self._folder(ticket.key).part(output, start=start, most_bytes=most_bytes)

    def files(self, ticket: Ticket, patterns: Sequence[str] = (), *, most: int = MOST_LISTED) -> Listed:
        return self._folder(ticket.key).files(patterns, most=most)

    def forget_secrets(self, ticket: Ticket) -> None:
        self._folder(ticket.key).forget_secrets()

    def size(self, ticket: Ticket, output: str) -> int:
        return self._folder(ticket.key).size(output)

    def kept_bytes(self, ticket: Ticket) -> int:
        return self._folder(ticket.key).kept_bytes()

    def forget(self, ticket: Ticket) -> None:
        self._folder(ticket.key).remove()

    def tidy(self, running: Collection[Ticket]) -> bool:
        self._housekeeping.cut_outputs(running, self._folder)
        return self._housekeeping.tidy()

    def _waiting(self, tickets: Collection[Ticket]) -> dict[str, FluxJob]:
        keys = {ticket.native_id: ticket.key for ticket in tickets if is_native_id(ticket.native_id)}
        found = self._client.jobs(keys).jobs if keys else ()
        waiting = {keys[job.native_id]: job for job in found if job.progress.phase == JobPhase.PENDING}
        return {key: job for key, job in waiting.items() if not claimed_by(self._folder(key))}

    def _folder(self, key: str) -> JobFolder:
        return folder_of(self._site.folder, key)

    def _natives(self, tickets: Collection[Ticket]) -> dict[str, str]:
        """Of two jobs of one name, the one that runs counts. A claim that names another job is checked with Flux."""
        claims = {ticket.key: claimed_by(self._folder(ticket.key)) for ticket in tickets}
        ours = self._ours([ticket.key for ticket in tickets if claims[ticket.key] not in ("", ticket.native_id)])
        return {ticket.key: self._current(ticket.key, ticket.native_id, ours.get(ticket.key, [])) for ticket in tickets}

    def _current(self, key: str, native_id: str, ours: Collection[str]) -> str:
        claim = claimed_by(self._folder(key))
        return claim if claim in ours else native_id

    def _ours(self, keys: Collection[str]) -> dict[str, list[str]]:
        """Another agent of this user may have jobs of the same names."""
        folders = {key: str(self._folder(key).path) for key in keys}
        ours: dict[str, list[str]] = {}
        for job in self._client.named(keys, since=self._since(keys)) if keys else ():
            if folders.get(job.name) == job.folder:
                ours.setdefault(job.name, []).append(job.native_id)
        return ours

    def _since(self, keys: Collection[str]) -> float:
        """A time before which none of these jobs ended; 0 where that is unknown."""
        words = [self._folder(key).notes.words("submitted") for key in keys]
        known = [at for noted in words if noted and (at := moment(noted[0]))]
        return min(known).timestamp() - CLOCKS_DIFFER_SECONDS if len(known) == len(keys) else 0.0

    def _is_over_for_another(self, ticket: Ticket, native_id: str, progress: Progress) -> bool:
        """Whether it ended because another job of its name began meanwhile."""
        return progress.phase == JobPhase.ENDED and self._natives([ticket])[ticket.key] != native_id

    def _forgotten(self, ticket: Ticket) -> Progress:
        """After a broker was killed, Flux loses jobs that it took, and its notes of those that ran."""
        return FORGOTTEN_RUNNING if claimed_by(self._folder(ticket.key)) else FORGOTTEN_WAITING

    def _script(self, work: Work, folder: JobFolder) -> str:
        folder.job.keep("script", script(work, folder, self._site).encode())
        return str(folder.path / "script")
