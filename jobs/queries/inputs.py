"""Reading the files that jobs are submitted with."""

from dataclasses import dataclass

from django.db.models import BinaryField, Q
from django.db.models.functions import Substr

from clusters.callers import Caller
from clusters.validation import check_line
from jobs.agents import check_place_of
from jobs.models import Job, JobInput
from jobs.sight import taken_by
from jobs.states import HELD
from rainbow.errors import NO_SUCH_JOB, InvalidArgument, NotFound

PART_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    content: bytes
    size: int


def read_input(*, caller: Caller, agent: str, job_id: int, attempt: int, sha256: str, offset: int) -> Part:
    """The bytes from `offset` on, up to PART_BYTES, for the agent that holds the job. Raises NotFound and
    InvalidArgument.
    """
    check_place_of(caller)
    check_line(agent, field="agent", longest=255)
    check_line(sha256, field="sha256", longest=64)
    if offset < 0:
        raise InvalidArgument("must not be negative", field="offset")
    sight = taken_by(caller)
    held = Job.objects.filter(
        sight.within if sight else Q(), id=job_id, cluster_id=caller.cluster_id, agent=agent, attempt=attempt
    ).filter(state__in=HELD)
    if not agent or not held.exists():
        raise NotFound(NO_SUCH_JOB)
    part = Substr("input__content", offset + 1, PART_BYTES, output_field=BinaryField())
    found = JobInput.objects.filter(job_id=job_id, input__sha256=sha256).values_list(part, "input__size").first()
    if found is None:
        raise NotFound("the job has no such input")
    # SQLite has no part of nothing.
    return Part(content=bytes(found[0] or b""), size=found[1])
