"""The batch script of a job, and what it notes in the job's folder. It begins with a claim; see claims.py.

Slurm forgets a job some minutes after its end, so the script notes the exit code. It ends as the command did, by the
same exit code or signal.
"""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from rainbow.executors.claims import claim_of
from rainbow.executors.endings import cancelled, from_shell_status, timed, timed_out
from rainbow.executors.environment import FOR_JOBS
from rainbow.executors.executor import Ending, Progress, Site
from rainbow.executors.folders import JobFolder, moment, number
from rainbow.executors.payload import payload, secrets_line
from rainbow.executors.sizes import total_tasks
from rainbow.specs import Work

HIGHEST_STATUS = 255

# What Slurm and its plugins tell a job. SLURM_JWT is a credential of the one who submitted it.
FROM_SLURM = ("SLURM_*", "SLURMD_*", "PMI*", "*_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK")

KEPT = "|".join((*FOR_JOBS, *FROM_SLURM))

# The shell waits for its child before it runs a trap, so a signal to all of the job's processes reaches the
# command, and the script lives on to note how that took it. Traps are reset in the child; ignored signals were not.
SIGNALS = "HUP INT QUIT TERM USR1 USR2 XCPU"

# Stop signals are not raised again: nothing would continue the script.
SCRIPT = """#!/bin/sh
{first}set -C
printf '%s %s %s\\n' "{native_id}" "$(date +%s)" {limit} > {started} || exit 1
set +C
for name in $(awk 'BEGIN {{ for (name in ENVIRON) if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/) print name }}'); do
  case $name in
    {dropped}) unset "$name" ;;
    {kept}) ;;
    *) unset "$name" ;;
  esac
done
trap : {signals}
(
{umask}{payload})
status=$?
printf '%s %s\\n' "$status" "$(date +%s)" > {ended}.new && mv -f {ended}.new {ended}
signal=$(kill -l "$status" 2>/dev/null)
case $signal in
  STOP | TSTP | TTIN | TTOU) signal= ;;
esac
if [ "$status" -gt 128 ] && [ -n "$signal" ]; then
  ulimit -c 0
  trap - "$signal" 2>/dev/null
  kill -s "$signal" $$
fi
exit "$status"
"""


PAYLOAD = """\
{exports}{secrets}  cd {directory} || exit 1
  exec /bin/sh -c {command}
"""


def script(work: Work, folder: JobFolder, site: Site) -> str:
    return SCRIPT.format(
        first="",
        native_id="$SLURM_JOB_ID",
        limit=work.time_limit_seconds,
        started=shlex.quote(str(folder.started)),
        ended=shlex.quote(str(folder.ended)),
        dropped="SLURM_JWT",
        kept=KEPT,
        signals=SIGNALS,
        umask=_umask(folder),
        payload=_payload(work, folder, site),
    )


def script_of_array(works: Sequence[tuple[Work, JobFolder]], folder: JobFolder, site: Site) -> str:
    """Each task finds its job by its number: the files by a link in the array's folder, the command in here.

    What Slurm says of the array is not for the jobs, which may be of none or of another one.
    """
    links = shlex.quote(str(folder.path))
    jobs = [f"{task})\n{_payload(work, job, site)};;\n" for task, (work, job) in enumerate(works)]
    return SCRIPT.format(
        first='set -- "$SLURM_ARRAY_TASK_ID"\n',
        native_id="${SLURM_ARRAY_JOB_ID}_$1",
        limit=works[0][0].time_limit_seconds,
        started=f'{links}/"$1"/started',
        ended=f'{links}/"$1"/ended',
        dropped="SLURM_JWT|SLURM_ARRAY_*",
        kept=KEPT,
        signals=SIGNALS,
        umask=_umask(folder),
        payload=f"case $1 in\n{''.join(jobs)}esac\n",
    )


def _umask(folder: JobFolder) -> str:
    return "  umask 022\n" if folder.owner else ""


def _payload(work: Work, folder: JobFolder, site: Site) -> str:
    run = payload(work, folder, site, launched=partial(_on_each_task, work, site))
    return PAYLOAD.format(
        exports=_exports({**_for_srun(work), **run.environment}),
        secrets=secrets_line(work, folder, then_remove=True),
        directory=shlex.quote(run.directory),
        command=shlex.quote(run.command),
    )


def noted_end(folder: JobFolder) -> Progress | None:
    """The end by the job's own note; None where there is none."""
    claim, words = claim_of(folder), folder.job.words("ended")
    status = number(words[0], most=HIGHEST_STATUS) if len(words) == 2 else None
    finished = moment(words[1]) if status is not None else None
    if claim is None or status is None or finished is None:
        return None
    progress = from_shell_status(status)
    if progress.ending == Ending.SIGNALLED and folder.was_cancelled:
        progress = cancelled()
    elif progress.ending == Ending.SIGNALLED and _reached(claim.limit_seconds, claim.began, finished):
        progress = timed_out()
    return timed(progress, started_at=claim.began, ended_at=finished)


def _on_each_task(work: Work, site: Site, line: str) -> str:
    """A container has no `srun` to start tasks with."""
    if site.containers.launches or total_tasks(work) == 1:
        return line
    return f"exec {shlex.join(['srun', '--export=ALL', '/bin/sh', '-c', line])}"


def _for_srun(work: Work) -> dict[str, str]:
    """Since 22.05, srun takes the cores of a task from this variable only (srun(1), INPUT ENVIRONMENT VARIABLES)."""
    return {"SRUN_CPUS_PER_TASK": str(work.cores_per_task)} if work.cores_per_task else {}


def _exports(environment: Mapping[str, str]) -> str:
    return "".join(f"  export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _reached(limit_seconds: int, began: datetime, finished: datetime) -> bool:
    return 0 < limit_seconds <= (finished - began) / timedelta(seconds=1)
