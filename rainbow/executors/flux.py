"""Flux, through its Python bindings where they import, else through its command."""

import shlex
from collections.abc import Collection
from typing import Protocol

from rainbow.executors import flux_bindings
from rainbow.executors.commands import all_submitted
from rainbow.executors.endings import gone
from rainbow.executors.environment import home_of, job_environment
from rainbow.executors.executor import Capacity, Executor, Progress, Site, Ticket, Work
from rainbow.executors.flux_bindings import FluxBindings
from rainbow.executors.flux_command import FluxCommand
from rainbow.executors.flux_jobs import FluxJob
from rainbow.executors.flux_request import FluxRequest
from rainbow.executors.folders import JobFolder, folder_of, tail

FORGOTTEN = gone("Flux no longer knows the job")
PRIVATE = 0o600


class FluxDoor(Protocol):
    """A way to talk to Flux. Raises as an executor does."""

    def free(self) -> Capacity: ...

    def submit(self, request: FluxRequest) -> str: ...

    def jobs(self, native_ids: Collection[str]) -> list[FluxJob]:
        """Those of them that Flux knows."""

    def named(self, name: str) -> list[FluxJob]:
        """The jobs of this user with this name, whatever became of them."""

    def cancel(self, native_id: str) -> None: ...


def flux_executor(site: Site) -> Executor:
    found = flux_bindings.find()
    return FluxExecutor(site, FluxBindings(found, site) if found else FluxCommand(site))


class FluxExecutor:
    def __init__(self, site: Site, door: FluxDoor) -> None:
        self._site = site
        self._door = door

    def capacity(self) -> Capacity:
        return self._door.free()

    def slots(self, work: Work) -> int:
        return max(work.nodes, work.tasks)

    def never(self, work: Work) -> str:
        return ""

    def submit(self, work: Work, key: str) -> str:
        folder = self._folder(key)
        folder.make()
        return self._door.submit(
            FluxRequest(
                name=key,
                script=str(self._script(work, folder)),
                folder=str(folder.path),
                output=str(folder.output),
                nodes=work.nodes,
                tasks=self.slots(work),
                time_limit_seconds=work.time_limit_seconds,
                environment=job_environment(self._site.environment, {}),
            )
        )

    def find(self, keys: Collection[str]) -> dict[str, str]:
        all_submitted(self._site.folder)
        ours = {key: self._ours(key) for key in keys}
        return {key: jobs[0] for key, jobs in ours.items() if jobs}

    def watch(self, tickets: Collection[Ticket]) -> dict[str, Progress]:
        wanted = [ticket.native_id for ticket in tickets]
        known = {job.native_id: job.progress for job in self._door.jobs(wanted)} if wanted else {}
        return {ticket.key: known.get(ticket.native_id, FORGOTTEN) for ticket in tickets}

    def cancel(self, ticket: Ticket) -> None:
        self._door.cancel(ticket.native_id)

    def output(self, ticket: Ticket) -> str:
        return tail(self._folder(ticket.key).output)

    def forget(self, ticket: Ticket) -> None:
        self._folder(ticket.key).remove()

    def _folder(self, key: str) -> JobFolder:
        return folder_of(self._site.folder, key)

    def _ours(self, key: str) -> list[str]:
        """The oldest first. Another agent of this user may know another job by the same name."""
        folder = str(self._folder(key).path)
        ours = [job for job in self._door.named(key) if job.folder == folder]
        return [job.native_id for job in reversed(ours)]

    def _script(self, work: Work, folder: JobFolder) -> str:
        """A file, because arguments and rules for the environment are for all to read, and are expanded."""
        exports = [f"export {name}={shlex.quote(value)}" for name, value in work.environment.items()]
        directory = shlex.quote(work.working_directory or home_of(self._site.environment))
        lines = [*exports, f"cd {directory} || exit 1", f"exec /bin/sh -c {shlex.quote(work.command)}"]
        file = folder.path / "script"
        file.touch(mode=PRIVATE)
        file.write_text("\n".join(lines) + "\n")
        return str(file)
