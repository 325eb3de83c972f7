import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import click
from click.core import ParameterSource

from rainbow.arrays import Array
from rainbow.client import Client
from rainbow.errors import RainbowError
from rainbow.records import GroupWish, Job, JobState, Submission
from rainbow.retries import PATIENCE_SECONDS
from rainbow.spec_rules import (
    MAX_CORES_PER_TASK,
    MAX_GPUS_PER_TASK,
    MAX_MEMORY_MIB_PER_NODE,
    MAX_RETRIES,
    MAX_START_WITHIN_SECONDS,
    MIN_START_WITHIN_SECONDS,
)
from rainbow.specs import JobSpec, OnLost
from rainbow.terminal import documents, session
from rainbow.terminal.completion import cluster_names, groups, project_names
from rainbow.terminal.following import exit_code_of, follow, step_of
from rainbow.terminal.formatting import last_asked
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.input_files import as_input_paths, digests, read_inputs
from rainbow.terminal.live_output import LiveOutput
from rainbow.terminal.options import json_option, label_option, server_options, token_options
from rainbow.terminal.output import complain, say, write_json, write_output_of
from rainbow.terminal.signing import signing_options, start_signing
from rainbow.terminal.slurm_jobs import with_tasks_by_id
from rainbow.terminal.slurm_options import slurm_options, translated
from rainbow.terminal.submit_array import Indexes, parameters_of, submit_array, submit_each
from rainbow.terminal.submit_command import SubmitCommand
from rainbow.terminal.submit_file import submit_file
from rainbow.terminal.types import MAX_INT32, Gpus, GroupId, Memory, Pair, Span, Time, Whole, as_list, as_mapping
from rainbow.terminal.why_waiting import WhyWaiting
from rainbow.text import on_one_line

# An agent at work asks again within a minute, or two where it has just taken jobs.
LONGER_THAN_A_POLL = timedelta(minutes=2)
EPILOG = """\b
Examples:
  rainbow submit -- hostname
  rainbow submit --nodes 2 --tasks 8 --time-limit 1h30m -- python3 train.py --epochs 10
  rainbow submit --command 'make test | tee log' --label project=demo
  rainbow submit --tasks 4 --gpus-per-task 1 --gpu-type a100 --memory 64G --partition gpu -- srun ./train
  rainbow submit --wait -- make test
  rainbow submit --array 0-999%50 --stop-after-failures 10 -- ./run.sh
  rainbow submit --each params.csv -- ./run.sh
  rainbow submit --file jobs.jsonl

With --array: a job for each index, which it finds as RAINBOW_ARRAY_INDEX; all of them are one group.
With --each: a job for each row below the first, which names the columns.

With --file: each line is a JSON object such as {"command": "hostname", "nodes": 2, "labels": {"project": "demo"}}.
Submitting the same file again, after a cut or at any time, queues no job twice. Exits with 5 when jobs were refused.

With --wait: exits with the job's exit code (128+N where signal N killed it), with 1 when it failed without one, as at
its time limit, and with 143 when it was cancelled. A job that is lost is waited for. With --array, --each or a group of
--file: shows how far the group is and what failed first, and exits with 1 when a job failed, with 143 when none did and
one was cancelled.
"""
TIME_LIMIT = Span(lowest=1, highest=31_536_000)
EXPIRES_IN = Span(lowest=1, highest=31_536_000)
SPILL_AFTER = Span(lowest=0, highest=86_400)
START_WITHIN = Span(lowest=MIN_START_WITHIN_SECONDS, highest=MAX_START_WITHIN_SECONDS)
ON_LOST = click.Choice([OnLost.KEEP.value, OnLost.REQUEUE.value])
NAME_LENGTH = 255
WITH_FILE = (
    "file",
    "group_name",
    "at_once",
    "stop_after_failures",
    "key_prefix",
    "wait",
    "as_json",
    "sign",
    "signing_key",
    "sign_for",
    "sign_runs",
)
SAID = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


@click.command("submit", cls=SubmitCommand, epilog=EPILOG)
@server_options
@token_options
@click.option("-c", "--command", metavar="TEXT", help="What to run, in place of words after `--`.")
@click.option("--job-name", "name", metavar="NAME", help="The job's name.  [default: the command's first word]")
@click.option("-n", "--nodes", type=Whole(1, MAX_INT32), default=1, show_default=True, help="How many nodes.")
@click.option("-t", "--tasks", type=Whole(0, MAX_INT32), default=0, help="How many tasks; 0 leaves it open.")
@click.option(
    "--cores-per-task", "--cpus-per-task", type=Whole(0, MAX_CORES_PER_TASK), default=0, help="Cores of each task."
)
@click.option("--gpus-per-task", type=Gpus(0, MAX_GPUS_PER_TASK), default=0, help="GPUs of each task.")
@slurm_options
@click.option("--gpu-type", default="", metavar="NAME", help="Which GPUs, as the cluster calls them: a100.")
@click.option(
    "--memory",
    "--mem",
    "memory_mib_per_node",
    type=Memory(highest_mib=MAX_MEMORY_MIB_PER_NODE),
    default=0,
    metavar="SIZE",
    help="Memory of each node: 500M, 64G, 1.5T.",
)
@click.option("--exclusive", is_flag=True, help="Share the nodes with no other job.")
@click.option("--time-limit", "time_limit_seconds", type=TIME_LIMIT, help="How long it may run: 90, 10m, 1h30m.")
@click.option("--priority", type=Whole(-100, 100), default=0, help="The higher, the sooner.  [default: 0]")
@click.option(
    "--env",
    "environment",
    type=Pair(),
    multiple=True,
    callback=as_mapping,
    metavar="NAME=VALUE",
    help="A variable for the job; repeatable.",
)
@click.option("--workdir", "working_directory", default="", metavar="PATH", help="Where it runs, on the cluster.")
@click.option(
    "--secret",
    "secrets",
    type=Pair(),
    multiple=True,
    callback=as_mapping,
    metavar="NAME=site:SECRET",
    help="A variable with a secret of the site, which the server never sees; repeatable.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    callback=as_input_paths,
    metavar="[NAME=]FILE",
    help="A file that the job finds where it begins, 4 MiB in all; repeatable.",
)
@click.option(
    "--input-url",
    "input_urls",
    type=Pair(),
    multiple=True,
    callback=as_mapping,
    metavar="NAME=URL",
    help="A file that the site fetches: https://HOST/PATH#sha256=HEX; repeatable.",
)
@click.option(
    "--output-files",
    "outputs",
    multiple=True,
    metavar="PATTERN",
    help="Files that it writes where it begins, for `rainbow fetch`; repeatable.",
)
@click.option("--image", default="", metavar="NAME", help="The container: an OCI reference, or a SIF file's path.")
@click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="SOURCE:TARGET[:ro]",
    help="A folder of the cluster, in the container; repeatable.",
)
@click.option(
    "--need", "needs", multiple=True, metavar="TERM", help="NAME, !NAME, NAME=VALUE or NAME>=NUMBER; repeatable."
)
@click.option(
    "--prefer",
    "clusters",
    multiple=True,
    metavar="NAME",
    shell_complete=cluster_names,
    help="A cluster of the pool, the best first; repeatable.",
)
@click.option(
    "--spill-after",
    "spill_after_seconds",
    type=SPILL_AFTER,
    help="How long each of them waits for those before it: 10m.",
)
@click.option("--expires", "expires_at", type=Time(), help="When it fails if it still waits: 2026-12-01T12:00.")
@click.option("--expires-in", type=EXPIRES_IN, help="The same, from now: 2h.")
@click.option(
    "--after",
    "after",
    multiple=True,
    metavar="[WANTS:]ID",
    help="Wait for a job: 12 until it has completed, failed:12, any:12; or group:3. Repeatable.",
)
@click.option("--hold-if-unservable", is_flag=True, help="Where no cluster can ever take it, keep it until one can.")
@click.option(
    "--start-within",
    "start_within_seconds",
    type=START_WITHIN,
    help="Leave a cluster that has not started it for so long: 30m.",
)
@click.option(
    "--project",
    default="",
    metavar="NAME",
    shell_complete=project_names,
    help="Your project; needed where several may use the cluster.",
)
@click.option("--account", default="", metavar="NAME", help="Whose budget pays.")
@click.option("--partition", default="", metavar="NAME", help="The scheduler's partition, or queue.")
@click.option("--qos", default="", metavar="NAME", help="The scheduler's quality of service.")
@click.option("--reservation", default="", metavar="NAME", help="The scheduler's reservation.")
@click.option("--constraint", default="", metavar="TEXT", help="Features of nodes, as the scheduler writes them.")
@click.option(
    "--at",
    "options_by_cluster",
    type=Pair("CLUSTER:OPTION=VALUE"),
    multiple=True,
    callback=as_mapping,
    metavar="CLUSTER:OPTION=VALUE",
    help="One of these five options at one cluster; repeatable.",
)
@label_option("A label to find the job by; repeatable.")
@click.option(
    "--key",
    "idempotency_key",
    metavar="TEXT",
    help="Submitting again under the same key makes no second job.",
)
@click.option(
    "--on-lost", type=ON_LOST, help="If contact is lost: keep waiting, or run the job again.  [default: keep]"
)
@click.option(
    "--retry",
    "retry_most",
    type=Whole(0, MAX_RETRIES),
    default=0,
    help="How often to try it again when it ends by a failed node or is preempted, or as --retry-on says.",
)
@click.option(
    "--retry-on",
    "retry_on",
    multiple=True,
    callback=as_list,
    metavar="CAUSE,...",
    help="When to: node_failed, preempted, timed_out, out_of_memory, signal, given_up, lost, exit_code, exit_code:75.",
)
@click.option(
    "--resubmission-of",
    "resubmission_of",
    type=Whole(0, MAX_INT32),
    default=0,
    metavar="ID",
    help="The job that this one is in place of; `rainbow resubmit` says it by itself.",
)
@click.option("--wait", is_flag=True, help="Show how the job goes and what it writes, and exit with its exit code.")
@click.option("--array", type=Indexes(), metavar="INDEXES", help="A job for each of these: 0-9, 1,3,5, 0-99%5.")
@click.option("--each", metavar="PATH", help="A job for each row of a CSV file, whose columns are its variables.")
@click.option("--group-name", metavar="NAME", help="What the group of --array, --each or --file is called.")
@click.option("--at-once", type=Whole(1, MAX_INT32), help="How many of them may be under way at once.")
@click.option("--stop-after-failures", type=Whole(1, MAX_INT32), help="Cancel the rest when so many of them failed.")
@click.option("--group", type=GroupId(), shell_complete=groups, help="A group of yours that takes further members.")
@click.option("--array-index", type=Whole(0, MAX_INT32), help="The job's own number in it.")
@click.option("--file", metavar="PATH", help="Submit the jobs of a file, a JSON object a line; `-`: standard input.")
@click.option(
    "--key-prefix", metavar="TEXT", help="With --file: what the jobs' keys begin with, before the line's number."
)
@signing_options
@json_option
@click.argument("words", nargs=-1, metavar="[-- WORD...]")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    wait: bool,
    as_json: bool,
    file: str | None,
    key_prefix: str | None,
    array: Array | None,
    each: str | None,
    group_name: str | None,
    at_once: int | None,
    stop_after_failures: int | None,
    **given: Any,
) -> None:
    """Queue a job for a cluster, or all jobs of a file.

    The command stands after `--`, word by word as a shell would pass it on, or as one text with --command.
    """
    group = _group_wish(group_name, at_once, stop_after_failures)
    if file is not None or key_prefix is not None:
        ctx.exit(_submit_file(ctx, file, key_prefix=key_prefix or "", group=group, wait=wait, as_json=as_json))
    contents = read_inputs(given["inputs"])
    spec = _spec(**{**given, "inputs": digests(contents)})
    if array is not None or each is not None:
        _check_many(spec, array=array, each=each)
        rows = parameters_of(each) if each is not None else ()
        with session.submitter(ctx) as client:
            start_signing(ctx, client)
            spec = replace(spec, after=tuple(with_tasks_by_id(client, spec.after)))
            client.put_inputs(contents.values(), project=spec.project)
            wish = group or GroupWish()
            if array is not None:
                ctx.exit(submit_array(client, spec, array, group=wish, wait=wait, as_json=as_json))
            ctx.exit(submit_each(client, spec, rows, group=wish, wait=wait, as_json=as_json))
    if group is not None:
        raise click.UsageError("--group-name, --at-once and --stop-after-failures need --array, --each or --file.")
    with session.submitter(ctx) as client:
        start_signing(ctx, client)
        spec = replace(spec, after=tuple(with_tasks_by_id(client, spec.after)))
        client.put_inputs(contents.values(), project=spec.project)
        queued = _submitted(client, spec)
        try:
            if not as_json:
                ended = _ended_at_once(client, queued) if spec.after and not queued.position else None
                _tell(queued, ended, cluster=client.cluster, now=datetime.now(UTC), to=complain if wait else say)
            if wait:
                ctx.exit(_wait(client, queued, as_json=as_json))
            if as_json:
                write_json(documents.about_job(queued))
        except OSError:  # the disk of the output is full, or its reader is gone
            complain(f"Job {queued.jobid} is queued.")
            raise


def _wait(client: Client, queued: Submission, *, as_json: bool) -> int:
    live = None if as_json else LiveOutput(client, queued.jobid)
    job = _followed(client, queued.jobid, live)
    if live and not live.is_missing:
        live.tell_what_is_missing()
        return exit_code_of(job)
    details = _details(client, queued.jobid)
    if as_json:
        document = documents.whole(details) if details else documents.watched(job)
        write_json({**documents.about_job(queued), "job": document})
    elif details:
        write_output_of(details)
    return exit_code_of(job)


def _group_wish(name: str | None, at_once: int | None, stop_after_failures: int | None) -> GroupWish | None:
    if name is None and at_once is None and stop_after_failures is None:
        return None
    return GroupWish(name=name or "", at_once=at_once or 0, stop_after_failures=stop_after_failures or 0)


def _check_many(spec: JobSpec, *, array: Array | None, each: str | None) -> None:
    if array is not None and each is not None:
        raise click.UsageError("Give either --array or --each.")
    if spec.group or spec.array_index is not None:
        raise click.UsageError("--array and --each make a group and its indexes; leave out --group and --array-index.")


def _submit_file(
    ctx: click.Context, path: str | None, *, key_prefix: str, group: GroupWish | None, wait: bool, as_json: bool
) -> int:
    if not path:
        raise click.UsageError("--key-prefix needs --file." if path is None else "--file is empty.")
    for option in ctx.command.params:
        name = str(option.name)
        if name in ctx.params and name not in WITH_FILE and ctx.get_parameter_source(name) in SAID:
            raise click.UsageError(
                f"With --file, each line says what its job is; leave out {option.get_error_hint(ctx)}."
            )
    if wait and group is None:
        raise click.UsageError(
            "--wait with --file waits for a group of its jobs; say what it is called by --group-name."
        )
    with session.submitter(ctx) as client:
        start_signing(ctx, client)
        return submit_file(client, path, key_prefix=key_prefix, group=group, wait=wait, as_json=as_json)


def _spec(*, words: tuple[str, ...], command: str | None, **given: Any) -> JobSpec:
    if words and command:
        raise click.UsageError("Give what to run once: after `--`, or with --command, not both.")
    if not words and not command:
        raise click.UsageError("Give what to run either after `--` or with --command.")
    text = command or shlex.join(words)
    chosen = {name: value for name, value in _with_expiry(translated(given)).items() if value is not None}
    chosen.setdefault("name", (words[0] if words else _first_word(text))[:NAME_LENGTH])
    chosen.setdefault("idempotency_key", uuid4().hex)
    return JobSpec(command=text, **{**chosen, "on_lost": OnLost(chosen.get("on_lost", OnLost.UNSPECIFIED))})


def _with_expiry(given: dict[str, Any]) -> dict[str, Any]:
    fields = dict(given)
    seconds = fields.pop("expires_in")
    if seconds is not None and fields["expires_at"]:
        raise click.UsageError("Give either --expires or --expires-in, not both.")
    return fields if seconds is None else {**fields, "expires_at": datetime.now(UTC) + timedelta(seconds=seconds)}


def _first_word(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:  # an open quote, which is the cluster's business
        words = text.split()
    return words[0] if words else ""


def _submitted(client: Client, spec: JobSpec) -> Submission:
    key = shlex.quote(spec.idempotency_key)
    with in_doubt(
        f"The job may be queued all the same. To find out, repeat the command with --key {key}: it makes no second job."
    ):
        return client.submit_job(spec)


def _followed(client: Client, jobid: int, live: LiveOutput | None) -> Job:
    """The job's end, after all that it wrote. Interrupting the wait does not stop the job."""
    try:
        steps = client.watch_jobs([jobid], first_seconds=PATIENCE_SECONDS)
        if live is None:
            return follow(steps, lambda _: None)[jobid]
        with WhyWaiting(client) as waiting:
            job = follow(steps, lambda job: _show(job, waiting, live))[jobid]
        live.join()
        return job
    except KeyboardInterrupt:
        complain(f"Job {jobid} goes on without you; `rainbow cancel {jobid}` stops it.")
        raise
    except RainbowError as error:
        if live:
            live.raise_if_unwritten()
        error.add_note(f"Job {jobid} goes on; `rainbow watch {jobid}` waits for it again.")
        raise


def _show(job: Job, waiting: WhyWaiting, live: LiveOutput) -> None:
    complain(step_of(job))
    waiting.note(job)
    live.note(job)


def _details(client: Client, jobid: int) -> Job | None:
    """With the output; None where it cannot be read: the exit code does not depend on it."""
    try:
        return next(iter(client.get_jobs([jobid], with_events=True).jobs), None)
    except RainbowError as error:
        complain(f"The output cannot be shown: {error}. `rainbow logs {jobid}` may show it later.")
        return None


def _ended_at_once(client: Client, queued: Submission) -> Job | None:
    """Jobs that can never start, since those that they wait for have failed, are cancelled as they are submitted."""
    with suppress(RainbowError):
        return next((job for job in client.get_jobs([queued.jobid]).jobs if job.finished_at), None)
    return None


def _tell(queued: Submission, ended: Job | None, *, cluster: str, now: datetime, to: Callable[[str], None]) -> None:
    place = f"it is at position {queued.position} of the queue"
    if ended and not queued.duplicate and ended.state is JobState.CANCELLED:
        to(on_one_line(f"Submitted job {queued.jobid} to {cluster}; it was cancelled at once: {ended.reason}."))
        return
    if queued.duplicate:
        where = place if queued.position else "it no longer waits in the queue"
        to(f"Job {queued.jobid} was submitted to {cluster} before, under this key; {where}.")
    else:
        to(f"Submitted job {queued.jobid} to {cluster}; {place if queued.position else 'it waits for other jobs'}.")
    if queued.agent_last_asked_at is not None and now - queued.agent_last_asked_at > LONGER_THAN_A_POLL:
        to(last_asked(cluster, queued.agent_last_asked_at, now=now))
    if queued.warning:
        complain(on_one_line(f"Warning: {queued.warning}"))
