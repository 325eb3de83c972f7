"""What the pages of operators and those of people show of groups alike."""

from typing import Any

from django.http import Http404, HttpRequest

from clusters.callers import Caller, Operator
from jobs.admin.charts import Share, shares
from jobs.admin.forms import job_id_from
from jobs.admin.shown_jobs import with_last
from jobs.queries.groups import FoundGroup, get_group, list_groups, own_groups
from jobs.states import FINAL

CONSEQUENCE = (
    "It takes no further jobs. Those that wait end at once, in the background; those that clusters have are stopped by "
    "their agents."
)
FINISHED = "It is finished already: all of its jobs are over."
REQUESTED = "The group is being cancelled."


def shown_groups(request: HttpRequest, by: Caller | Operator) -> dict[str, Any]:
    going, last = "going" in request.GET, job_id_from(request.GET.get("last", ""))
    page = list_groups(by=by, going=going, last=last)
    return {
        "rows": [(group, *_progress(group)) for group in page.groups],
        "going": going,
        "first_page": not last,
        "newest": with_last(request.GET, 0),
        "older": with_last(request.GET, page.groups[-1].id) if page.more else "",
    }


def shown_group(by: Caller | Operator, group_id: int) -> dict[str, Any]:
    """Raises Http404 alike for one that is not there and for one that they may not see."""
    number = job_id_from(str(group_id))
    group = get_group(by=by, group_id=number) if number else None
    if group is None:
        raise Http404
    states, over = _progress(group)
    return {"group": group, "shares": states, "over": over}


def may_cancel(by: Caller | Operator, group: FoundGroup) -> bool:
    return group.finished_at is None and own_groups(by).filter(id=group.id).exists()


def title_of_group(group: FoundGroup) -> str:
    return f"Group {group.id} {group.name}".rstrip()


def _progress(group: FoundGroup) -> tuple[list[Share], int]:
    """The share of each state, and how many percent of the members are over, rounded down."""
    over = sum(jobs for state, jobs in group.counts.items() if state in FINAL)
    return shares(group.counts), 100 * over // group.members if group.members else 0
