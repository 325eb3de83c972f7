"""Whether a person or project may still use what a job of theirs waits for."""

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from jobs.models import Job
from jobs.sql.updates import IN_REACH

MAY_STILL_RUN = RawSQL(IN_REACH, (), output_field=BooleanField())
WITHDRAWN = "its person or project may no longer use this cluster"


def is_withdrawn(job: Job) -> bool:
    return job.project_id is not None and Job.objects.filter(~MAY_STILL_RUN, id=job.id).exists()
