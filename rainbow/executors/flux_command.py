"""Flux by its command, for sites where the agent's Python cannot import Flux's bindings."""

import json
import re
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from rainbow.executors.commands import Answer, ask, submitting
from rainbow.executors.environment import command_environment
from rainbow.executors.executor import SchedulerSilent, Site, WorkRefused
from rainbow.executors.flux_events import EventsRefused
from rainbow.executors.flux_facts import FluxResources
from rainbow.executors.flux_jobs import FluxJob, FluxJobs, from_flux, is_native_id, plain
from rainbow.executors.flux_queues import FluxQueue
from rainbow.executors.flux_refusals import failure
from rainbow.executors.flux_request import FluxRequest

QUEUES = (
    "{queuem}|{enabled}|{started}|{resources.up.nnodes}|{resources.down.nnodes}"
    "|{resources.free.nnodes}|{resources.free.ncores}"
)
YES = {"\u2714", "y"}
NOTHING_TO_CANCEL = re.compile(r"is inactive|unknown job id", re.IGNORECASE)
# What `flux job urgency` says of a job that started, is over, or was forgotten.
TOO_LATE = re.compile(r"once resources are allocated|is inactive|unknown job", re.IGNORECASE)
UNKNOWN_JOB = re.compile(r"^JobID (\S+) unknown$", re.MULTILINE)
VERSION = re.compile(r"^broker:\s+(\S+)", re.MULTILINE)
# A line of `flux queue status`: of the named queues, each begins with its name.
CLOSED = re.compile(r"(?:\S+: )?(Job submission is disabled.*|Scheduling is stopped.*)")


class FluxCommand:
    most_together = 1

    def __init__(self, site: Site) -> None:
        self._site = site
        self._environment = command_environment(site.environment)

    def queues(self) -> list[FluxQueue]:
        return [_queue(line) for line in self._answered("queue", "list", "-no", QUEUES).splitlines()]

    def resources(self) -> FluxResources:
        described, configuration = self._answered("resource", "R"), self._answered("config", "get")
        version = VERSION.search(self._answered("version"))
        return FluxResources(
            described=_object("resource R", described),
            configuration=_object("config get", configuration),
            version=version[1] if version else "",
        )

    def status(self, queue: str) -> str:
        text = self._answered("queue", "status", *([queue] if queue else []))
        return "; ".join(found[1] for line in text.splitlines() if (found := CLOSED.fullmatch(line)))

    def submit(self, request: FluxRequest) -> str:
        with submitting(self._site.folder) as lock:
            answer = ask(
                ["flux", "submit", *self._site.options, *request.arguments],
                environment={**self._environment, **request.environment},
                keep_open=[lock],
            )
        if answer.status:
            raise _failure(answer)
        native_id = plain(answer.text)
        if not is_native_id(native_id):
            # As when the broker goes in the middle of it.
            raise _not_understood("submit", answer.text)
        return native_id

    def submit_together(self, requests: Sequence[FluxRequest]) -> dict[str, str]:
        return {requests[0].name: self.submit(requests[0])}

    def jobs(self, native_ids: Collection[str]) -> FluxJobs:
        # 0 is no limit; otherwise flux shows 1,000.
        answer = self._ask("jobs", "--count=0", "--json", *native_ids)
        unknown = frozenset(plain(native_id) for native_id in UNKNOWN_JOB.findall(answer.complaint))
        if not answer.text and unknown:
            return FluxJobs(unknown=unknown)
        return FluxJobs(jobs=tuple(_jobs(answer)), unknown=unknown)

    def named(self, names: Collection[str], *, since: float) -> list[FluxJob]:
        only = [f"--name={name}" for name in names] if len(names) == 1 else []
        late = [f"--since=-{max(1, time.time() - since):.0f}s"] if since else []
        return [job for job in _jobs(self._ask("jobs", "-a", "--count=0", "--json", *late, *only)) if job.name in names]

    def hold(self, native_ids: Collection[str]) -> None:
        for native_id in native_ids:
            answer = self._ask("job", "urgency", native_id, "hold")
            if answer.status and not TOO_LATE.search(answer.complaint):
                raise _silence("job urgency", answer.complaint)

    def cancel(self, native_ids: Collection[str]) -> None:
        answer = self._ask("cancel", *native_ids)
        troubles = [line for line in answer.complaint.splitlines() if not NOTHING_TO_CANCEL.search(line)]
        if answer.status and (troubles or not answer.complaint):
            raise _silence("cancel", " ".join(troubles))

    def signal(self, native_id: str, name: str) -> None:
        answer = self._ask("job", "kill", f"--signal=SIG{name}", native_id)
        if answer.status and not NOTHING_TO_CANCEL.search(answer.complaint):
            raise _silence("job kill", answer.complaint)

    def changes(self) -> Iterator[str]:
        raise EventsRefused("only Flux's Python bindings tell of changes")

    def _ask(self, *words: str) -> Answer:
        return ask(["flux", *words], environment=self._environment)

    def _answered(self, *words: str) -> str:
        answer = self._ask(*words)
        if answer.status:
            raise _silence(words[0], answer.complaint)
        return answer.text


def _queue(line: str) -> FluxQueue:
    try:
        name, enabled, started, up, down, free, cores = line.split("|")
        return FluxQueue(
            name=name.rstrip("*"),
            is_default=name.endswith("*"),
            enabled=enabled in YES,
            started=started in YES,
            up_nodes=int(up),
            down_nodes=int(down),
            free_nodes=int(free),
            free_cores=int(cores),
        )
    except ValueError as error:
        raise _not_understood("queue list", line) from error


def _object(verb: str, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _not_understood(verb, text) from error
    if not isinstance(content, dict):
        raise _not_understood(verb, text)
    return content


def _jobs(answer: Answer) -> list[FluxJob]:
    """The jobs of an answer: in a list, or one alone where just that one was asked for."""
    try:
        content: dict[str, Any] = json.loads(answer.text)
        return [from_flux(job) for job in content.get("jobs", [content] if content else [])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if answer.status:
            raise _silence("jobs", _without_repetition(answer.complaint)) from error
        raise _not_understood("jobs", answer.text) from error


def _without_repetition(complaint: str) -> str:
    """Flux repeats itself for each job, and says that it ignores an option for named jobs, which it does not."""
    lines = [line for line in complaint.splitlines() if "WARNING: Filtering options ignored" not in line]
    return " ".join(dict.fromkeys(lines))


def _failure(answer: Answer) -> WorkRefused | SchedulerSilent:
    if answer.status < 0 or not answer.complaint:
        return _silence("submit", f"ended with status {answer.status} {answer.complaint}".rstrip())
    return failure(answer.complaint)


def _silence(verb: str, complaint: str) -> SchedulerSilent:
    return SchedulerSilent(f"flux {verb}: {complaint}")


def _not_understood(verb: str, text: str) -> SchedulerSilent:
    return SchedulerSilent(f"flux {verb} said something that rainbow does not understand: {text[:200]!r}")
