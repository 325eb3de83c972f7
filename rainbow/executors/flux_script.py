"""The script of a job, which each of its tasks runs. See claims.py for what it begins with.

It is a file, because arguments and rules for the environment are for all to read, and Flux expands them. The claim is
a hard link, since that appears with its content: the other tasks read it at once, on other nodes.
"""

import shlex

from rainbow.executors.executor import Work
from rainbow.executors.folders import JobFolder

# Flux passes on errors and output by different ways. As one stream they keep their order.
SCRIPT = """#!/bin/sh
exec 2>&1
case $FLUX_JOB_ID in
  \u0192*) job=f${{FLUX_JOB_ID#\u0192}} ;;
  *) job=$FLUX_JOB_ID ;;
esac
claim={started}.$job.$FLUX_TASK_RANK
printf '%s %s %s\\n' "$job" "$(date +%s)" {limit} > "$claim" || exit 1
ln "$claim" {started} 2>/dev/null
rm -f "$claim"
read -r owner rest < {started} || exit 1
[ "$owner" = "$job" ] || exit 1
{exports}cd {directory} || exit 1
exec /bin/sh -c {command}
"""


def script(work: Work, folder: JobFolder, *, home: str) -> str:
    return SCRIPT.format(
        limit=work.time_limit_seconds,
        started=shlex.quote(str(folder.started)),
        exports="".join(f"export {name}={shlex.quote(value)}\n" for name, value in work.environment.items()),
        directory=shlex.quote(work.working_directory or home),
        command=shlex.quote(work.command),
    )
