"""What operators may do as the persons that they are as well: they submit for nobody else."""

from django.http import HttpRequest

from clusters.admin.shown import operator_of
from clusters.callers import Caller
from clusters.services.of_people import caller_of_person
from jobs.models import Job
from jobs.queries.groups import FoundGroup, visible_groups
from jobs.queries.lookup import within_reach
from jobs.states import FINAL


def may_submit_job(request: HttpRequest, job: Job) -> bool:
    """Whether the job is over, and the page on which people submit one again is there for the operator."""
    person = _submitter(request) if job.state in FINAL else None
    return person is not None and within_reach(person).filter(id=job.id).exists()


def may_submit_group(request: HttpRequest, group: FoundGroup) -> bool:
    """The same for the members of a group that failed."""
    person = _submitter(request) if group.failures else None
    return person is not None and visible_groups(person).filter(id=group.id).exists()


def _submitter(request: HttpRequest) -> Caller | None:
    person = caller_of_person(operator_of(request).user_id)
    return person if person.projects else None
