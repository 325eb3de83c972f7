"""The script of a job, which each of its tasks runs. It begins with a claim; see claims.py.

It is a file, because arguments and environment rules are public, and Flux expands them.
"""

import shlex

from rainbow.executors.executor import Site
from rainbow.executors.folders import JobFolder
from rainbow.executors.payload import payload, secrets_line
from rainbow.specs import Work

# The first task makes the claim, and writes it a moment later. Another node may see that later still.
SCRIPT = """#!/bin/sh
case $FLUX_JOB_ID in
  \u0192*) job=f${{FLUX_JOB_ID#\u0192}} ;;
  *) job=$FLUX_JOB_ID ;;
esac
if ! (set -C; printf '%s %s %s\\n' "$job" "$(date +%s)" {limit} > {started}) 2>/dev/null; then
  tries=0
  until read -r owner rest < {started}; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || {{ echo "cannot tell which scheduler job may run the command"; exit 1; }}
    sleep 1
  done 2>/dev/null
  [ "$owner" = "$job" ] || exit 1
fi
{exports}{secrets}cd {directory} || exit 1
exec /bin/sh -c {command}
"""


def script(work: Work, folder: JobFolder, site: Site) -> str:
    run = payload(work, folder, site)
    return SCRIPT.format(
        limit=work.time_limit_seconds,
        started=shlex.quote(str(folder.started)),
        exports="".join(f"export {name}={shlex.quote(value)}\n" for name, value in run.environment.items()),
        # Each task reads them.
        secrets=secrets_line(work, folder, then_remove=False),
        directory=shlex.quote(run.directory),
        command=shlex.quote(run.command),
    )
