"""`--dependency`: which jobs a job waits for."""

from dataclasses import dataclass

from rainbow.errors import InvalidArgument
from rainbow.slurm_commands.job_ids import JobRef, job_ref

WANTS = {"afterok": "ok", "afterany": "any", "afternotok": "failed"}
INSTEAD = {
    "after": "jobs wait for ends here, not for beginnings; say afterok or afterany",
    "aftercorr": "tasks do not wait for those of the same index; say afterok for all of them",
    "afterburstbuffer": "burst buffers are unknown; say afterany",
    "expand": "jobs do not grow",
    "singleton": "say which jobs with afterany:ID; or submit them as one array with %1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    wants: str
    job: JobRef


def dependencies(text: str) -> tuple[Dependency, ...]:
    """All of them have to be met. Raises InvalidArgument."""
    if "?" in text:
        raise InvalidArgument(f"--dependency={text}: a job waits for all of them; one of several (?) is unknown here")
    found: list[Dependency] = []
    for part in filter(None, text.split(",")):
        kind, _, ids = part.partition(":")
        if kind not in WANTS:
            why = INSTEAD.get(kind, "must be afterok, afterany or afternotok, and ids behind colons")
            raise InvalidArgument(f"--dependency={part}: {why}")
        if not ids:
            raise InvalidArgument(f"--dependency={part}: names no job")
        found += [Dependency(wants=WANTS[kind], job=job_ref(jobid)) for jobid in ids.split(":")]
    return tuple(found)
