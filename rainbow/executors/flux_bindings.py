"""Flux by its Python bindings, ten times faster than by its command.

They come with Flux and not from a package index, so nothing is imported by name. Calls have no time limit of their
own; each gets a thread and a connection, and is left behind if it does not return.
"""

import errno
import importlib
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, Never, TypeVar

from rainbow.executors.commands import submitting
from rainbow.executors.executor import SchedulerSilent, Site
from rainbow.executors.flux_events import EventsRefused
from rainbow.executors.flux_facts import FluxResources
from rainbow.executors.flux_jobs import FluxJob, FluxJobs, from_flux, plain
from rainbow.executors.flux_queues import FluxQueue
from rainbow.executors.flux_refusals import failure
from rainbow.executors.flux_request import FluxRequest
from rainbow.executors.timed_calls import TimedCalls

PARTS = ("flux.job", "flux.queue", "flux.cli.submit", "flux.constants")
REFUSALS = {errno.EINVAL, errno.EPERM, errno.EOVERFLOW, errno.E2BIG}
STATES = ["pending", "running", "inactive"]
MOST_NAMES = 10
NOTHING_TO_CANCEL = {errno.EINVAL, errno.ENOENT}
# The events after which `flux jobs` says something else of a job (RFC 21).
TELLING = ("priority", "urgency", "alloc", "clean")

Result = TypeVar("Result")


class BindingsMissing(Exception):
    """Why this Python cannot use Flux's bindings."""


def find() -> ModuleType:
    """Flux's bindings. Raises BindingsMissing."""
    try:
        flux = importlib.import_module("flux")
        if not hasattr(flux, "Flux"):
            raise BindingsMissing(f"{flux.__name__} is another package ({getattr(flux, '__file__', None)})")
        for part in PARTS:
            importlib.import_module(part)
    except (ImportError, OSError) as error:
        raise BindingsMissing(str(error)) from error
    return flux


class FluxBindings:
    most_together = 100

    def __init__(self, flux: Any, site: Site) -> None:
        self._flux = flux
        self._site = site
        self._uri = site.environment.get("FLUX_URI")
        self._calls = TimedCalls("Flux")

    def queues(self) -> list[FluxQueue]:
        return self._connected(self._queues)

    def resources(self) -> FluxResources:
        return self._connected(_resources)

    def status(self, queue: str) -> str:
        return self._connected(lambda handle: self._status(handle, queue))

    def submit(self, request: FluxRequest) -> str:
        return self._refusing(lambda: self._submit(request))

    def submit_together(self, requests: Sequence[FluxRequest]) -> dict[str, str]:
        return self._refusing(lambda: self._submit_together(requests))

    def jobs(self, native_ids: Collection[str]) -> FluxJobs:
        return self._connected(lambda handle: self._jobs(handle, native_ids))

    def named(self, names: Collection[str], *, since: float) -> list[FluxJob]:
        return self._connected(lambda handle: self._named(handle, names, since))

    def hold(self, native_ids: Collection[str]) -> None:
        self._connected(lambda handle: self._hold(handle, native_ids))

    def cancel(self, native_ids: Collection[str]) -> None:
        self._connected(lambda handle: self._cancel(handle, native_ids))

    def signal(self, native_id: str, name: str) -> None:
        self._connected(lambda handle: self._signal(handle, native_id, signal.Signals[f"SIG{name}"]))

    def changes(self) -> Iterator[str]:
        """By the journal of the job manager, which only the owner of an instance may read: first the jobs that are
        active, then what says that these were all, then one by one.
        """
        flags = self._flux.constants.FLUX_RPC_STREAMING
        answers = self._connection().rpc(
            "job-manager.events-journal", {"allow": dict.fromkeys(TELLING, 1)}, flags=flags
        )
        while True:
            try:
                told = answers.get()
            except PermissionError as error:
                raise EventsRefused(f"Flux tells events to the owner of the instance alone: {error}") from error
            if told is None:
                # As when the broker was killed.
                raise ConnectionError("the connection to Flux ended")
            answers.reset()
            yield plain(self._flux.job.JobID(told["id"]).f58) if told["id"] >= 0 else ""

    def _queues(self, handle: Any) -> list[FluxQueue]:
        return [
            FluxQueue(
                name=queue.name,
                is_default=queue.is_default,
                enabled=queue.enabled,
                started=queue.started,
                up_nodes=queue.resources.up.nnodes,
                down_nodes=queue.resources.down.nnodes,
                free_nodes=queue.resources.free.nnodes,
                free_cores=queue.resources.free.ncores,
            )
            for queue in self._flux.queue.QueueList(handle)
        ]

    def _status(self, handle: Any, queue: str) -> str:
        """In the words of `flux queue status`."""
        status = handle.rpc("job-manager.queue-status", {"name": queue} if queue else {}).get()
        disabled = "" if status["enable"] else f"Job submission is disabled: {status.get('disable_reason', '')}"
        stopped = "" if status["start"] else f"Scheduling is stopped: {status.get('stop_reason', '')}"
        return "; ".join(words.removesuffix(": ") for words in (disabled, stopped) if words)

    def _submit(self, request: FluxRequest) -> str:
        """A late connection is a late submission."""
        with submitting(self._site.folder):
            return _native_id(self._submission()(request))

    def _submit_together(self, requests: Sequence[FluxRequest]) -> dict[str, str]:
        """By one connection, and the answers are waited for when all are on their way. Raises where Flux took none,
        and where it is unknown of one whether it did.
        """
        errors: list[Exception] = []
        with submitting(self._site.folder):
            submission = self._submission()
            answers = _without_errors(errors, {each.name: partial(submission, each) for each in requests})
            native_ids = _without_errors(errors, {name: partial(_native_id, each) for name, each in answers.items()})
        unknown = [error for error in errors if not _is_refusal(error)]
        if unknown or not native_ids:
            raise [*unknown, *errors][0]
        return native_ids

    def _refusing(self, call: Callable[[], Result]) -> Result:
        try:
            return self._calls.run(call)
        except SchedulerSilent as error:
            if error.__cause__ and _is_refusal(error.__cause__):
                raise failure(str(error.__cause__)) from error.__cause__
            raise

    def _submission(self) -> Callable[[FluxRequest], Any]:
        """Begins a submission as `flux submit` does it, whose words the site's options are."""
        handle = self._connection()
        command = self._flux.cli.submit.SubmitCmd("flux submit")
        command.flux_handle = handle

        def begin(request: FluxRequest) -> Any:
            arguments = _parsed(command.get_parser(), [*self._site.options, *request.arguments])
            spec = command.jobspec_create(arguments)
            spec.environment = dict(request.environment)
            return command.submit_async(arguments, jobspec=spec)

        return begin

    def _jobs(self, handle: Any, native_ids: Collection[str]) -> FluxJobs:
        job = self._flux.job
        asked = {native_id: job.job_list_id(handle, job.JobID(native_id)) for native_id in native_ids}
        found, unknown, troubles = list[FluxJob](), set[str](), list[OSError]()
        for native_id, answer in asked.items():
            try:
                found.append(from_flux(answer.get_jobinfo().to_dict()))
            except FileNotFoundError:
                unknown.add(native_id)
            except OSError as error:
                troubles.append(error)
        if troubles and not found and not unknown:
            raise troubles[0]
        return FluxJobs(jobs=tuple(found), unknown=frozenset(unknown))

    def _named(self, handle: Any, names: Collection[str], since: float) -> list[FluxJob]:
        """Flux compares each job with each name, and gives up after a million comparisons: only few are named."""
        constraint = {"name": list(names)} if len(names) <= MOST_NAMES else None
        listed = self._flux.job.JobList(handle, constraint=constraint, filters=STATES, since=since, max_entries=0)
        found = [from_flux(job.to_dict()) for job in listed.jobs()]
        return [job for job in found if job.name in names]

    def _hold(self, handle: Any, native_ids: Collection[str]) -> None:
        """As `flux job urgency ID hold` does it."""
        ids = [int(self._flux.job.JobID(native_id)) for native_id in native_ids]
        asked = [handle.rpc("job-manager.urgency", {"id": id, "urgency": 0}) for id in ids]
        troubles = [error for answer in asked if (error := _error(answer.get))]
        if troubles:
            raise troubles[0]

    def _cancel(self, handle: Any, native_ids: Collection[str]) -> None:
        job = self._flux.job
        asked = [job.cancel_async(handle, job.JobID(native_id)) for native_id in native_ids]
        troubles = [error for answer in asked if (error := _error(answer.get))]
        if troubles:
            raise troubles[0]

    def _signal(self, handle: Any, native_id: str, number: int) -> None:
        job = self._flux.job
        if error := _error(job.kill_async(handle, job.JobID(native_id), signum=number).get):
            raise error

    def _connected(self, call: Callable[[Any], Result]) -> Result:
        return self._calls.run(lambda: call(self._connection()))

    def _connection(self) -> Any:
        return self._flux.Flux(self._uri) if self._uri else self._flux.Flux()


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, ValueError) or (isinstance(error, OSError) and error.errno in REFUSALS)


def _resources(handle: Any) -> FluxResources:
    """As `flux resource R`, `flux config get` and `flux version` do it."""
    return FluxResources(
        described=handle.rpc("resource.sched-status").get()["all"],
        configuration=handle.rpc("config.get").get(),
        version=handle.attr_get("version"),
    )


def _without_errors(errors: list[Exception], calls: Mapping[str, Callable[[], Result]]) -> dict[str, Result]:
    """What the calls return; adds what they raise."""
    results: dict[str, Result] = {}
    for name, call in calls.items():
        try:
            results[name] = call()
        except (ValueError, OSError) as error:
            errors.append(error)
    return results


def _native_id(answer: Any) -> str:
    return plain(answer.get_id().f58)


def _parsed(parser: Any, words: Sequence[str]) -> Any:
    def refuse(message: str) -> Never:
        raise ValueError(message)

    parser.error = refuse
    return parser.parse_args(words)


def _error(call: Callable[[], object]) -> OSError | None:
    try:
        call()
    except OSError as error:
        return None if error.errno in NOTHING_TO_CANCEL else error
    return None
