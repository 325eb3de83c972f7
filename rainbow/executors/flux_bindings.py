"""Flux by its Python bindings, which answer ten times faster than its command.

They come with Flux and not from a package index, so nothing here is imported by name. A call of them has no time
limit of its own; each gets a thread and a connection of its own, and is left behind if it does not return.
"""

import errno
import importlib
import threading
from collections.abc import Callable, Collection
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import Any, TypeVar

from rainbow.executors.commands import TIMEOUT_SECONDS
from rainbow.executors.executor import Capacity, SchedulerSilent, Site, WorkRefused
from rainbow.executors.flux_command import Resources, capacity
from rainbow.executors.flux_jobs import FluxJob, from_flux, plain
from rainbow.executors.flux_request import FluxRequest

REFUSALS = {errno.EINVAL, errno.EPERM, errno.EOVERFLOW, errno.E2BIG}
STATES = ("free", "allocated", "down")

Result = TypeVar("Result")


def find() -> ModuleType | None:
    """Flux's bindings; None if this Python cannot import them, or has another package of that name."""
    try:
        flux = importlib.import_module("flux")
        for part in ("job", "resource"):
            importlib.import_module(f"flux.{part}")
    except (ImportError, OSError):
        return None
    return flux if hasattr(flux, "Flux") else None


class FluxBindings:
    def __init__(self, flux: Any, site: Site) -> None:
        self._flux = flux
        self._uri = site.environment.get("FLUX_URI")

    def free(self) -> Capacity:
        return self._connected(self._free)

    def submit(self, request: FluxRequest) -> str:
        try:
            return self._connected(lambda handle: self._submit(handle, request))
        except SchedulerSilent as error:
            cause = error.__cause__
            if isinstance(cause, ValueError) or (isinstance(cause, OSError) and cause.errno in REFUSALS):
                raise WorkRefused(f"Flux refused: {cause}") from cause
            raise

    def jobs(self, native_ids: Collection[str]) -> list[FluxJob]:
        ids = [self._flux.job.JobID(native_id) for native_id in native_ids]
        return self._connected(lambda handle: self._list(handle, ids=ids))

    def named(self, name: str) -> list[FluxJob]:
        states = ["pending", "running", "inactive"]
        return self._connected(lambda handle: self._list(handle, name=name, filters=states, max_entries=0))

    def cancel(self, native_id: str) -> None:
        self._connected(lambda handle: self._cancel(handle, native_id))

    def _free(self, handle: Any) -> Capacity:
        listed = self._flux.resource.resource_list(handle).get()
        sets = [(state, getattr(listed, state)) for state in STATES]
        return capacity(Resources(state=state, nodes=rset.nnodes, cores=rset.ncores) for state, rset in sets)

    def _submit(self, handle: Any, request: FluxRequest) -> str:
        spec = self._flux.job.JobspecV1.from_command(
            request.command, num_tasks=request.tasks, num_nodes=request.nodes, cores_per_task=1
        )
        spec.cwd = request.folder
        spec.environment = dict(request.environment)
        spec.stdout = spec.stderr = request.output
        spec.duration = request.time_limit_seconds
        spec.setattr("system.job.name", request.name)
        return plain(self._flux.job.JobID(self._flux.job.submit(handle, spec)).f58)

    def _list(self, handle: Any, **wanted: Any) -> list[FluxJob]:
        return [from_flux(job.to_dict()) for job in self._flux.job.JobList(handle, **wanted).jobs()]

    def _cancel(self, handle: Any, native_id: str) -> None:
        try:
            self._flux.job.cancel(handle, self._flux.job.JobID(native_id))
        except OSError as error:
            # EINVAL says that the job is inactive, ENOENT that there is none.
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise

    def _connected(self, call: Callable[[Any], Result]) -> Result:
        return _in_time(lambda: call(self._flux.Flux(self._uri) if self._uri else self._flux.Flux()))


def _in_time(call: Callable[[], Result]) -> Result:
    answers: SimpleQueue[tuple[Result | None, Exception | None]] = SimpleQueue()
    threading.Thread(target=_answer, args=(call, answers), daemon=True).start()
    try:
        result, error = answers.get(timeout=TIMEOUT_SECONDS)
    except Empty as late:
        raise SchedulerSilent(f"Flux did not answer within {TIMEOUT_SECONDS:g} seconds") from late
    if error:
        raise SchedulerSilent(f"Flux: {error}") from error
    return result  # type: ignore[return-value]  # it is None only where the call returns None


def _answer(call: Callable[[], Result], answers: "SimpleQueue[tuple[Result | None, Exception | None]]") -> None:
    try:
        answers.put((call(), None))
    except Exception as error:  # whatever it is, the one who waits gets it
        answers.put((None, error))
