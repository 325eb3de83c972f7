from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import click

from rainbow.errors import NO_SUCH_JOB, NotFound
from rainbow.records import EndCause, Job, JobAttempt, JobEvent, OutputFiles
from rainbow.slurm_commands.job_ids import JobRef
from rainbow.spec_rules import SITE_OPTIONS
from rainbow.specs import OnLost
from rainbow.terminal import documents, session
from rainbow.terminal.formatting import local, memory, span, when
from rainbow.terminal.options import json_option, observer_options, server_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.slurm_jobs import jobids_of
from rainbow.terminal.tables import aligned, show_table
from rainbow.terminal.types import JobIds
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow job 7
  rainbow job 12_3
  rainbow job 7 --json
"""
ATTEMPT_COLUMNS = ("ATTEMPT", "CLUSTER", "NATIVE ID", "STARTED", "ENDED", "CAUSE", "CODE", "WHY")
EVENT_COLUMNS = ("WHEN", "WHAT", "STATE", "ATTEMPT", "WHO", "WHY")


@click.command("job", epilog=EPILOG)
@server_options
@observer_options
@json_option
@click.argument("ref", metavar="ID", type=JobIds(one=True))
@click.pass_context
def command(ctx: click.Context, ref: JobRef, as_cluster: bool, as_json: bool) -> None:
    """Show one job, with what happened to it."""
    with session.observer(ctx, as_cluster=as_cluster) as client:
        (jobid,) = jobids_of(client, [ref])
        found = client.get_jobs([jobid], with_events=True)
    if not found.jobs:
        raise NotFound(f"{NO_SUCH_JOB}: {jobid}")
    if as_json:
        write_json(documents.whole(found.jobs[0]))
    else:
        _tell(found.jobs[0], now=datetime.now(UTC))


def _tell(job: Job, *, now: datetime) -> None:
    facts = [*_what_it_is(job), *_how_it_runs(job), *_when_it_did(job, now=now)]
    say(aligned([(f"{name}:", on_one_line(value)) for name, value in facts if value]))
    if job.why_waiting:
        say(f"\nWhy it waits: {on_one_line(job.why_waiting)}")
    # That of a job's own cluster is summed up above.
    if others := [one for one in job.prospects if one.cluster != job.cluster]:
        say(aligned([("", on_one_line(one.cluster), on_one_line(one.text)) for one in others]))
    if job.attempts:
        say("")
        show_table(ATTEMPT_COLUMNS, [_attempt_row(attempt) for attempt in job.attempts])
    if job.events:
        say("")
        show_table(EVENT_COLUMNS, [_row(event) for event in job.events])
    if job.output_files:
        _tell_files(job, job.output_files)
    if job.output:
        cut = f", 64 KiB; `rainbow logs {job.id}` prints all that its site keeps" if job.output_is_cut else ""
        say(f"\nThe end of its output{cut}:\n{job.output}")


def _tell_files(job: Job, listed: OutputFiles) -> None:
    say("\nFiles that it left:" if listed.files else "\nIt left no files that fit its outputs.")
    for file in listed.files:
        say(f"{file.size:>14,}  {file.name}")
    if listed.more:
        say(f"There may be more: rainbow fetch {job.id} --list")


def _what_it_is(job: Job) -> Iterator[tuple[str, str]]:
    yield "id", str(job.id)
    yield "state", f"{job.state}: {job.reason}" if job.reason else job.state.value
    yield "cluster", job.cluster
    yield "name", job.name
    yield "command", job.command
    yield "nodes", str(job.nodes)
    yield "tasks", str(job.tasks or "")
    yield "priority", str(job.priority)
    yield "time limit", span(job.time_limit_seconds) if job.time_limit_seconds else ""
    yield "cores per task", str(job.cores_per_task or "")
    yield "GPUs per task", str(job.gpus_per_task or "")
    yield "GPU type", job.gpu_type
    yield "memory per node", memory(job.memory_mib_per_node) if job.memory_mib_per_node else ""
    yield "exclusive", "yes" if job.exclusive else ""
    yield from ((name, getattr(job, name)) for name in SITE_OPTIONS)
    yield "options by cluster", _pairs(job.options_by_cluster)
    yield "image", job.image
    yield "mounts", " ".join(job.mounts)
    yield "secrets", _pairs(job.secrets)
    yield "inputs", _pairs(job.inputs)
    yield "input URLs", _pairs(job.input_urls)
    yield "outputs", " ".join(job.outputs)
    yield "needs", " ".join(job.needs)
    yield "group", str(job.group or "")
    yield "array index", "" if job.array_index is None else str(job.array_index)
    yield "start within", span(job.start_within_seconds) if job.start_within_seconds else ""
    yield "working directory", job.working_directory
    yield "environment", _pairs(job.environment)
    yield "labels", _pairs(job.labels)
    yield "if lost", "" if job.on_lost == OnLost.UNSPECIFIED else job.on_lost.value
    yield "retries", f"up to {job.retry_most}" if job.retry_most else ""
    yield "retried on", " ".join(job.retry_on)
    yield "clusters", " ".join(job.clusters)
    yield "signed", "yes" if job.signature else ""
    yield "spill after", span(job.spill_after_seconds) if job.spill_after_seconds else ""
    yield "after", " ".join(job.after)
    yield "if unservable", "hold" if job.hold_if_unservable else ""
    yield "expires", local(job.expires_at) if job.expires_at else ""
    yield "submitted again for", str(job.resubmission_of or "")
    yield "owner", job.owner
    yield "project", job.project
    yield "submitted by", job.submitted_by
    yield "key", job.idempotency_key


def _how_it_runs(job: Job) -> Iterator[tuple[str, str]]:
    yield "attempt", str(job.attempt or "")
    yield "agent", job.agent
    yield "native id", job.native_id
    yield "exit code", "" if job.exit_code is None else str(job.exit_code)
    yield "ended by", _cause(job.end_cause)
    yield "submitted again as", " ".join(map(str, job.resubmissions))


def _cause(cause: EndCause) -> str:
    """Of one that ended by itself its exit code says it all."""
    return "" if cause in (EndCause.UNSPECIFIED, EndCause.EXIT) else cause.value.replace("_", " ")


def _when_it_did(job: Job, *, now: datetime) -> Iterator[tuple[str, str]]:
    moments = {
        "submitted": job.submitted_at,
        "accepted": job.accepted_at,
        "started": job.started_at,
        "finished": job.finished_at,
        "lost": job.lost_at,
        "lease ends": job.lease_expires_at,
        "asked to stop": job.cancel_requested_at,
        "tried again": job.retry_at,
    }
    for name, moment in moments.items():
        yield name, when(moment, now=now) if moment else ""


def _pairs(mapping: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(mapping.items()))


def _row(event: JobEvent) -> list[str]:
    return [local(event.at), event.what, event.state.value, str(event.attempt), event.who, event.why]


def _attempt_row(attempt: JobAttempt) -> list[str]:
    return [
        str(attempt.attempt),
        attempt.cluster,
        attempt.native_id,
        local(attempt.started_at) if attempt.started_at else "",
        local(attempt.ended_at) if attempt.ended_at else "",
        "" if attempt.end_cause is EndCause.UNSPECIFIED else attempt.end_cause.value.replace("_", " "),
        "" if attempt.exit_code is None else str(attempt.exit_code),
        attempt.reason,
    ]
