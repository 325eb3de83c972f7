"""Flux by its command, for sites where the agent's Python cannot import Flux's bindings."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from rainbow.executors.commands import Answer, ask, submitting
from rainbow.executors.environment import command_environment
from rainbow.executors.executor import Capacity, SchedulerSilent, Site, WorkRefused
from rainbow.executors.flux_jobs import FluxJob, from_flux, plain
from rainbow.executors.flux_request import FluxRequest

SILENT = re.compile(r"unable to connect|broker|connection|timed out|timeout|not responding|ENOSYS", re.IGNORECASE)
NOTHING_TO_CANCEL = re.compile(r"is inactive|unknown job id", re.IGNORECASE)
UNKNOWN_JOB = re.compile(r"unknown", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What is in one state, one of free, allocated and down."""

    state: str
    nodes: int
    cores: int


class FluxCommand:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._environment = command_environment(site.environment)

    def free(self) -> Capacity:
        text = self._answered("resource", "list", "-no", "{state} {nnodes} {ncores}").text
        return capacity(_resources(line) for line in text.splitlines() if line.strip())

    def submit(self, request: FluxRequest) -> str:
        with submitting(self._site.folder) as lock:
            answer = ask(
                ["flux", "submit", *self._site.options, *_arguments(request), *request.command],
                environment={**self._environment, **request.environment},
                keep_open=[lock],
            )
        if answer.status:
            raise _failure(answer)
        return plain(answer.text)

    def jobs(self, native_ids: Collection[str]) -> list[FluxJob]:
        answer = self._ask("jobs", "-a", "--json", *native_ids)
        if not answer.text and UNKNOWN_JOB.search(answer.complaint):
            return []
        return _jobs(answer)

    def named(self, name: str) -> list[FluxJob]:
        return _jobs(self._answered("jobs", "-a", "--json", f"--name={name}"))

    def cancel(self, native_id: str) -> None:
        answer = self._ask("cancel", native_id)
        if answer.status and not NOTHING_TO_CANCEL.search(answer.complaint):
            raise _silence("cancel", answer)

    def _ask(self, *words: str) -> Answer:
        return ask(["flux", *words], environment=self._environment)

    def _answered(self, *words: str) -> Answer:
        answer = self._ask(*words)
        if answer.status:
            raise _silence(words[0], answer)
        return answer


def capacity(listed: Iterable[Resources]) -> Capacity:
    resources = list(listed)
    free = [item for item in resources if item.state == "free"]
    if not any(item.nodes for item in resources if item.state in ("free", "allocated")):
        down = sum(item.nodes for item in resources if item.state == "down")
        return Capacity(not_ready=f"no node is up: {down} down")
    return Capacity(nodes=sum(item.nodes for item in free), slots=sum(item.cores for item in free))


def _arguments(request: FluxRequest) -> list[str]:
    limit = [f"--time-limit={request.time_limit_seconds}s"] if request.time_limit_seconds else []
    return [
        f"--job-name={request.name}",
        f"--nodes={request.nodes}",
        f"--ntasks={request.tasks}",
        "--env=-*",
        *(f"--env={name}" for name in request.environment),
        f"--cwd={request.folder}",
        f"--output={request.output}",
        f"--error={request.output}",
        *limit,
    ]


def _resources(line: str) -> Resources:
    try:
        state, nodes, cores = line.split()
        return Resources(state=state.rstrip("*"), nodes=int(nodes), cores=int(cores))
    except ValueError as error:
        raise _not_understood("resource list", line) from error


def _jobs(answer: Answer) -> list[FluxJob]:
    """The jobs of an answer: in a list, or one alone where just that one was asked for."""
    try:
        content: dict[str, Any] = json.loads(answer.text)
        return [from_flux(job) for job in content.get("jobs", [content] if content else [])]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if answer.status:
            raise _silence("jobs", answer) from error
        raise _not_understood("jobs", answer.text) from error


def _failure(answer: Answer) -> WorkRefused | SchedulerSilent:
    if SILENT.search(answer.complaint):
        return _silence("submit", answer)
    return WorkRefused(f"Flux refused: {answer.complaint.removeprefix('flux-submit: ERROR: ')}")


def _silence(verb: str, answer: Answer) -> SchedulerSilent:
    return SchedulerSilent(f"flux {verb}: {answer.complaint}")


def _not_understood(verb: str, text: str) -> SchedulerSilent:
    return SchedulerSilent(f"flux {verb} said something that rainbow does not understand: {text[:200]!r}")
