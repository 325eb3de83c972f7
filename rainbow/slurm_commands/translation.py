"""What sbatch is asked for, as a job of rainbow."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rainbow.arrays import Array, array_in, variables_of
from rainbow.errors import InvalidArgument
from rainbow.records import JobSpec
from rainbow.slurm_commands.batch_script import BatchScript
from rainbow.slurm_commands.dependencies import Dependency, dependencies
from rainbow.slurm_commands.durations import UNLIMITED, seconds_of_clock
from rainbow.slurm_commands.exports import exported
from rainbow.slurm_commands.job_size import sizes
from rainbow.slurm_commands.output_files import ARRAY_ID, patterns_to_fetch, redirections
from rainbow.spec_rules import MAX_RETRIES, SITE_OPTIONS

SCRIPT = "slurm_script"
HIGHEST_NICE = 100
# It ends soon after the script, which not every scheduler sees to: another process may get the script's number.
_ALARM = (
    "(exec </dev/null >/dev/null 2>&1; at=$(($(date +%s) + {seconds})); "
    "while left=$((at - $(date +%s))); test $left -gt 0; do "
    "kill -0 $$ || exit; sleep $((left < 10 ? left : 10)); done; kill -{signal} $$) &\n"
)
_SIGNAL = re.compile(r"(?P<who>[RB]{0,2}:)?(?:SIG)?(?P<signal>[A-Z0-9]{1,8})(?:@(?P<seconds>[0-9]{1,5}))?", re.ASCII)
DEFAULT_SIGNAL_SECONDS = 60
# By the label that each becomes.
LABELS = ("comment", "wckey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A job, or with an `array` a job for each index. The script is an input that is not in the job yet."""

    spec: JobSpec
    array: Array | None
    dependencies: tuple[Dependency, ...]
    cluster: str
    warnings: tuple[str, ...]


def translate(
    options: Mapping[str, str],
    script: BatchScript,
    *,
    arguments: Sequence[str],
    name: str,
    environment: Mapping[str, str],
) -> Batch:
    """`name` is the job's where no option says one. Raises InvalidArgument."""
    _check_choices(options)
    array = array_in(options["array"]) if "array" in options else None
    sent = exported(options.get("export"), environment)
    fields: dict[str, Any] = {
        **sizes(options),
        **{field: options[field] for field in SITE_OPTIONS if options.get(field)},
        "name": options.get("job-name") or name,
        "time_limit_seconds": _time_limit(options.get("time")),
        "environment": dict(sent.variables),
        "working_directory": str(Path(options["chdir"]).absolute()) if "chdir" in options else "",
        "labels": {label: options[label] for label in LABELS if options.get(label)},
        "outputs": patterns_to_fetch(options),
        "priority": _priority(options.get("nice")),
        "retry_most": MAX_RETRIES if "requeue" in options else 0,
    }
    alarm, left_out = _alarm(options.get("signal"), fields["time_limit_seconds"])
    prelude = "".join(
        (
            _variables(fields, array),
            redirections(options, name=fields["name"], is_array=array is not None),
            alarm,
        )
    )
    run = f'exec {shlex.join(script.interpreter)} "$RAINBOW_FILES"/{SCRIPT}'
    return Batch(
        spec=JobSpec(command=prelude + " ".join((run, *map(shlex.quote, arguments))), **fields),
        array=array,
        dependencies=dependencies(options.get("dependency", "")),
        cluster=_cluster(options.get("clusters", "")),
        warnings=(*_late(script), *sent.warnings, *left_out),
    )


def _check_choices(options: Mapping[str, str]) -> None:
    if options.get("kill-on-invalid-dep", "yes") != "yes":
        raise InvalidArgument("--kill-on-invalid-dep: a job whose dependency cannot be met is cancelled; say yes")


def _time_limit(text: str | None) -> int:
    if text is None or text.lower() in UNLIMITED:
        return 0
    seconds = seconds_of_clock(text)
    if not seconds:
        raise InvalidArgument(f"--time={text}: must be minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S")
    return seconds


def _priority(nice: str | None) -> int:
    if nice is None:
        return 0
    if nice and not (nice.isascii() and nice.isdigit()):
        raise InvalidArgument(f"--nice={nice}: must be a number from 0; `rainbow submit --priority` raises a priority")
    return -min(int(nice or HIGHEST_NICE), HIGHEST_NICE)


def _cluster(text: str) -> str:
    if "," in text or text.lower() == "all":
        raise InvalidArgument(f"--clusters={text}: name one cluster, or a pool of several")
    return text


def _late(script: BatchScript) -> list[str]:
    if not script.late:
        return []
    lines = ", ".join(map(str, script.late[:5]))
    return [f"#SBATCH behind the first command does not count, as with sbatch: line {lines}"]


def _alarm(text: str | None, limit_seconds: int) -> tuple[str, list[str]]:
    """The line that sends the script a signal before its time limit, and what is to be warned of in its place."""
    if text is None:
        return "", []
    found = _SIGNAL.fullmatch(text.upper())
    if found is None:
        raise InvalidArgument(f"--signal={text}: must be such as B:USR1@60")
    before = int(found["seconds"] or DEFAULT_SIGNAL_SECONDS)
    if "B" not in (found["who"] or "") or limit_seconds <= before:
        return "", [f"--signal={text} is left out: only the script gets one (B:), and a time limit (-t) says when"]
    return _ALARM.format(seconds=limit_seconds - before, signal=found["signal"]), []


def _variables(fields: Mapping[str, Any], array: Array | None) -> str:
    """Those that scripts read, where no Slurm sets them. SLURM_JOB_ID of a Slurm is its own, which `srun` needs."""
    nodes, tasks = fields.get("nodes", 1), fields.get("tasks", 0)
    lines = [
        f"SLURM_JOB_NAME={shlex.quote(fields['name'])}",
        'SLURM_SUBMIT_DIR="$PWD"',
        _unless_set("SLURM_JOB_ID", "$RAINBOW_JOB_ID"),
        _unless_set("SLURM_JOBID", "$RAINBOW_JOB_ID"),
        _unless_set("SLURM_JOB_NUM_NODES", nodes),
        _unless_set("SLURM_NNODES", nodes),
        _unless_set("SLURM_NTASKS", tasks or nodes),
    ]
    if cores := fields.get("cores_per_task"):
        lines.append(_unless_set("SLURM_CPUS_PER_TASK", cores))
    if memory := fields.get("memory_mib_per_node"):
        lines.append(_unless_set("SLURM_MEM_PER_NODE", memory))
    if array:
        of_all = variables_of(array.indexes)
        lines += [f"SLURM_ARRAY_JOB_ID={ARRAY_ID}", *(f"{name}={value}" for name, value in of_all.items())]
    return f"export {' '.join(lines)}\n"


def _unless_set(name: str, value: object) -> str:
    return f'{name}="${{{name}:-{value}}}"'
