import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from rainbow import config
from rainbow.arrays import Array
from rainbow.client import Client
from rainbow.errors import InvalidArgument, RainbowError, why
from rainbow.records import GroupWish, Job, JobSpec, JobState
from rainbow.retries import PATIENCE_SECONDS
from rainbow.slurm_commands.batch_script import BatchScript, batch_script, wrapped
from rainbow.slurm_commands.dependencies import Dependency
from rainbow.slurm_commands.job_ids import array_id
from rainbow.slurm_commands.layers import asked
from rainbow.slurm_commands.translation import SCRIPT, Batch, translate
from rainbow.spec_rules import MAX_INPUTS_BYTES
from rainbow.specs import DESCRIPTION_FIELDS, check_description
from rainbow.terminal import session
from rainbow.terminal.completion import project_names
from rainbow.terminal.following import exit_code_of, follow, step_of
from rainbow.terminal.group_wait import wait_for_group
from rainbow.terminal.groups import exit_code_of_group
from rainbow.terminal.in_doubt import in_doubt
from rainbow.terminal.input_files import as_input_paths, digests, read_inputs
from rainbow.terminal.options import flags, label_option, server_options, token_options
from rainbow.terminal.output import complain, say, write_json
from rainbow.terminal.sbatch_command import SbatchCommand, as_said, said_of_sbatch
from rainbow.terminal.slurm_jobs import after_terms
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow sbatch script.sh --epochs 10
  rainbow sbatch -N 2 -n 8 -t 1:30:00 --gpus-per-node 4 script.sh
  rainbow sbatch --array 0-99%10 --parsable --wrap 'python3 fit.py $SLURM_ARRAY_TASK_ID'
  rainbow sbatch --dependency afterok:12 --input-file data.csv script.sh

The script travels with the job, and begins in the job's own folder unless -D says another. Its #SBATCH lines count as
sbatch counts them: behind the command line and the variables SBATCH_... . What has no meaning here is refused by name.
"""
NAME_OF_STANDARD_INPUT = "sbatch"
NAME_OF_WRAPPED = "wrap"


@click.command("sbatch", cls=SbatchCommand, epilog=EPILOG, options_metavar="[OPTIONS]")
@server_options
@token_options
@label_option("A label to find the job by; repeatable.")
@click.option(
    "--input-file",
    "inputs",
    multiple=True,
    callback=as_input_paths,
    metavar="[NAME=]FILE",
    help="A file that the job finds where it begins; repeatable.",
)
@click.option(
    "--output-files",
    "outputs",
    multiple=True,
    metavar="PATTERN",
    help="Files that it writes where it begins, for `rainbow fetch`; repeatable.",
)
@click.option("--need", "needs", multiple=True, metavar="TERM", help="What the cluster must have; repeatable.")
@click.option(
    "--project", default="", metavar="NAME", shell_complete=project_names, help="Your project, with a personal token."
)
@click.option("--key", "idempotency_key", metavar="TEXT", help="Submitting again under it makes no second job.")
@click.argument("words", nargs=-1, metavar="[SCRIPT [ARGUMENT...]]")
@click.pass_context
def command(ctx: click.Context, /, words: Sequence[str], idempotency_key: str | None, **given: Any) -> None:
    """Queue a batch script of Slurm.

    Without a script it is read from standard input.
    """
    environment = config.environment()
    typed = said_of_sbatch(ctx)
    script, arguments, name = _script(dict(typed).get("wrap"), words)
    options = asked(typed=typed, environment=environment, in_script=script.words)
    batch = translate(options.options, script, arguments=arguments, name=name, environment=environment)
    contents = {**read_inputs(given.pop("inputs")), SCRIPT: script.content}
    spec = _with_own(batch.spec, contents, key=idempotency_key or uuid4().hex, **given)
    with as_said(options.options):
        check_description(spec)
    for warning in (*options.warnings, *batch.warnings):
        complain(f"Warning: {warning}")
    if "test-only" in options.options:
        write_json(_document(spec, batch, options.options))
        return
    if batch.cluster:
        flags(ctx)["cluster"] = batch.cluster
    with session.submitter(ctx) as client, as_said(options.options):
        after = tuple(after_terms(client, batch.dependencies))
        client.put_inputs(contents.values(), project=spec.project)
        ctx.exit(_submit(client, replace(spec, after=after), batch.array, options.options))


def _script(command: str | None, words: Sequence[str]) -> tuple[BatchScript, Sequence[str], str]:
    """The script, its arguments, and what the job is called unless it says so."""
    if command is not None:
        if words:
            raise click.UsageError("--wrap is a command in place of a script; leave out the script.")
        return wrapped(command), (), NAME_OF_WRAPPED
    if not words:
        content = sys.stdin.buffer.read(MAX_INPUTS_BYTES + 1)
        if not content:
            raise InvalidArgument("no script was named, so standard input was read, and it is empty")
        return batch_script(content), (), NAME_OF_STANDARD_INPUT
    path, *arguments = words
    try:
        with Path(path).open("rb") as file:
            return batch_script(file.read(MAX_INPUTS_BYTES + 1)), arguments, Path(path).name
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error


def _with_own(
    spec: JobSpec,
    contents: Mapping[str, bytes],
    *,
    key: str,
    labels: Mapping[str, str],
    outputs: Sequence[str],
    needs: Sequence[str],
    project: str,
) -> JobSpec:
    return replace(
        spec,
        inputs=digests(contents),
        labels={**spec.labels, **labels},
        outputs=(*spec.outputs, *outputs),
        needs=tuple(needs),
        project=project,
        idempotency_key=key,
    )


def _document(spec: JobSpec, batch: Batch, options: Mapping[str, str]) -> dict[str, Any]:
    """What would be submitted, without what is not said."""
    said = {name: getattr(spec, name) for name in (*DESCRIPTION_FIELDS, "retry_most")}
    document = {name: value for name, value in said.items() if value not in ("", 0, (), {}, None, False)}
    if batch.dependencies:
        document["after"] = [f"{one.wants}:{_shown(one)}" for one in batch.dependencies]
    if batch.array:
        document["array"] = options["array"]
    if batch.cluster:
        document["cluster"] = batch.cluster
    return document


def _shown(dependency: Dependency) -> str:
    job = dependency.job
    if job.jobid:
        return str(job.jobid)
    tasks_of_it = "_" + ",".join(map(str, sorted(job.indexes))) if job.indexes else ""
    return f"group:{job.group}{tasks_of_it}"


def _submit(client: Client, spec: JobSpec, array: Array | None, options: Mapping[str, str]) -> int:
    """Submits, tells the id, and waits if asked to; returns the exit code."""
    key = shlex.quote(spec.idempotency_key)
    with in_doubt(f"It may be queued all the same. To find out, repeat the command with --key {key}."):
        number = _queue_array(client, spec, array) if array else _queue(client, spec)
    shown = array_id(number) if array else number
    if "quiet" not in options:
        say(str(shown) if "parsable" in options else f"Submitted batch job {shown}")
    if "wait" not in options:
        return 0
    if array:
        group = wait_for_group(client, number, quiet=True)
        _tell_what_did_not_exit(group.failures)
        return exit_code_of_group(group)
    steps = client.watch_jobs([number], first_seconds=PATIENCE_SECONDS)
    last = follow(steps, lambda _: None)[number]
    _tell_what_did_not_exit([last])
    return exit_code_of(last)


def _tell_what_did_not_exit(jobs: Iterable[Job]) -> None:
    """Nothing that these wrote says why they failed: one for which there is no room, say."""
    for job in jobs:
        if job.state == JobState.FAILED and job.exit_code is None:
            complain(step_of(job))


def _queue(client: Client, spec: JobSpec) -> int:
    queued = client.submit_job(spec)
    if queued.warning:
        complain(on_one_line(f"Warning: {queued.warning}"))
    return queued.jobid


def _queue_array(client: Client, spec: JobSpec, array: Array) -> int:
    """The group's id. All of its jobs are queued, or none: those that are when one is refused are cancelled."""
    key = spec.idempotency_key
    wish = GroupWish(name=spec.name, at_once=array.at_once, idempotency_key=key)
    jobs = (replace(spec, array_index=index, idempotency_key=f"{key}/{index}") for index in array.indexes)
    group, refusal = 0, None
    for result in client.submit_stream(jobs, group=wish):
        group = result.group or group
        refusal = refusal or result.error
    if refusal:
        _take_back(client, group, refusal)
        raise refusal
    return group


def _take_back(client: Client, group: int, refusal: RainbowError) -> None:
    if not group:
        return
    try:
        client.cancel_group(group, reason="a job of the array was refused")
    except RainbowError as error:
        refusal.add_note(f"The others are queued; `rainbow cancel --group {group}` stops them: {error}")
