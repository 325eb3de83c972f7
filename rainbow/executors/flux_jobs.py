"""Jobs as Flux describes them; `flux jobs --json` and the Python bindings agree."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rainbow.executors.endings import cancelled, ended, from_shell_status, from_wait_status, timed, timed_out
from rainbow.executors.executor import Ending, JobPhase, Progress
from rainbow.executors.folders import at

# Flux RFC 21: the states before RUN, and those in which a job has resources.
PENDING = {"NEW", "DEPEND", "PRIORITY", "SCHED"}
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LOST_NODE = re.compile(r"node failure on|lost contact with")


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxJob:
    """`held`: Flux does not start it."""

    native_id: str
    name: str
    folder: str
    progress: Progress
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxJobs:
    """`unknown`: Flux says that it has no such job. Jobs in neither gave no answer."""

    jobs: tuple[FluxJob, ...] = ()
    unknown: frozenset[str] = frozenset()


def from_flux(job: Mapping[str, Any]) -> FluxJob:
    return FluxJob(
        native_id=plain(str(job["jobid"] if "jobid" in job else job["id"])),
        name=job.get("name", ""),
        folder=job.get("cwd", ""),
        progress=_progress(job),
        held=job.get("urgency") == 0,
    )


def plain(native_id: str) -> str:
    """A job id with f in place of ƒ; Flux takes either (flux-jobs(1), id.f58plain)."""
    return native_id.strip().replace("\u0192", "f", 1)


def is_native_id(text: str) -> bool:
    """Whether it is an id of the form f58 (Flux RFC 19). One bad id would fail a query for many."""
    return bool(text[1:]) and text[0] == "f" and set(text[1:]) <= set(BASE58) and _decoded(text[1:]) < 2**63


def _decoded(text: str) -> int:
    value = 0
    for character in text:
        value = value * len(BASE58) + BASE58.index(character)
    return value


def _progress(job: Mapping[str, Any]) -> Progress:
    # The time of the event `alloc`, after which Flux may start the job at any moment (RFC 21).
    started_at = at(job["t_run"]) if job.get("t_run") else None
    if job["state"] in PENDING:
        return Progress(phase=JobPhase.PENDING, reason=_why_it_waits(job))
    if job["state"] != "INACTIVE":
        return Progress(phase=JobPhase.RUNNING, started_at=started_at)
    ended_at = at(job["t_cleanup"]) if job.get("t_cleanup") else None
    return timed(_end(job), started_at=started_at, ended_at=ended_at)


def _why_it_waits(job: Mapping[str, Any]) -> str:
    if waits_for := job.get("dependencies"):
        return f"depends on {', '.join(waits_for)}"
    if job["state"] != "SCHED":
        return "Flux is still to give it a priority"
    if job.get("priority") == 0:
        return "held in Flux: its priority is 0"
    sched = (job.get("annotations") or {}).get("sched") or {}
    return _words_of_scheduler(sched) or "waits in Flux for its turn and for resources"


def _words_of_scheduler(sched: Mapping[str, Any]) -> str:
    """What some of Flux's schedulers say of a job that waits (flux-jobs(1), annotations)."""
    words = [str(sched["reason_pending"])] if sched.get("reason_pending") else []
    if sched.get("jobs_ahead"):
        words.append(f"jobs ahead of it: {sched['jobs_ahead']}")
    if sched.get("t_estimate"):
        words.append(f"to start about {at(sched['t_estimate']):%Y-%m-%d %H:%M} UTC")
    return "; ".join(words)


def _end(job: Mapping[str, Any]) -> Progress:
    if job.get("result") == "TIMEOUT":
        return timed_out()
    if job.get("result") == "CANCELED":
        return cancelled()
    exception = job.get("exception") or {}
    note = str(exception.get("note") or exception.get("type") or "")
    if job.get("result") != "COMPLETED" and _is_node_failure(exception):
        return ended(Ending.NODE_FAILED, reason=note)
    if "waitstatus" not in job or _was_ended_by_flux(exception):
        return ended(Ending.FAILED, reason=note or "Flux gave up on it")
    return _end_of_its_own(job["waitstatus"], note)


def _is_node_failure(exception: Mapping[str, Any]) -> bool:
    """Flux raises `node-failure` where the job could go on, and otherwise `exec`, as for every failed start."""
    note = str(exception.get("note") or "")
    return exception.get("type") == "node-failure" or (exception.get("type") == "exec" and bool(LOST_NODE.match(note)))


def _was_ended_by_flux(exception: Mapping[str, Any]) -> bool:
    """An exception of severity 0 ends a job (RFC 21). Those of `exec` have an exit code that says more."""
    return exception.get("severity") == 0 and exception.get("type") != "exec"


def _end_of_its_own(wait_status: int, note: str) -> Progress:
    """Flux's shell ends with 128+n where signal n ended a task."""
    progress = from_wait_status(wait_status)
    if progress.exit_code is not None:
        progress = from_shell_status(progress.exit_code)
    return ended(
        progress.ending or Ending.FAILED,
        reason=note or progress.reason,
        exit_code=progress.exit_code,
        signal=progress.signal,
    )
