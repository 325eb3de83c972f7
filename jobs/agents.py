"""Whose agent it is that takes and reports jobs: the cluster's, or a person's own.

Each name of a person's agent begins with that of the person, and none of a cluster's agents does: so the name that a
job has says who may report it.
"""

from clusters.callers import Caller
from clusters.validation import check_line
from jobs.models import Job
from jobs.states import UNTAKEN
from rainbow.errors import InvalidArgument

_OF_A_PERSON = "~"
_LONGEST_NAME = 255


def names_of(caller: Caller) -> str:
    """How the names of a person's agents begin."""
    return f"{_OF_A_PERSON}{caller.person}/"


def check_place_of(caller: Caller) -> None:
    """Raises InvalidArgument where no agent can be: a secret is never a pool's."""
    caller.check_place()
    if caller.pool:
        raise InvalidArgument("a pool runs no jobs; name a cluster of it", field="cluster")


def check_name(agent: str, caller: Caller, *, required: bool = False) -> None:
    """Raises InvalidArgument."""
    check_line(agent, field="agent", longest=_LONGEST_NAME, required=required)
    if caller.person_id is None and agent.startswith(_OF_A_PERSON):
        raise InvalidArgument(f"must not begin with {_OF_A_PERSON}, as the names of persons' agents do", field="agent")
    if caller.person_id is not None and not agent.startswith(names_of(caller)):
        raise InvalidArgument(f"must begin with {names_of(caller)}", field="agent")


def may_report(caller: Caller, job: Job, *, attempt: int) -> bool:
    """Reports of other attempts, and of jobs that wait, change nothing, and are answered."""
    over = job.attempt != attempt or job.state in UNTAKEN
    if caller.person_id is None:
        return over or not job.agent.startswith(_OF_A_PERSON)
    owned = job.owner_id == caller.person_id and caller.narrowed_to in (None, job.project_id)
    return owned and (over or job.agent.startswith(names_of(caller)))
