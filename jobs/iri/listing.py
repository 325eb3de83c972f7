"""Many jobs of a resource, by offset and limit, over the pages of a search."""

from typing import Any

from clusters.callers import Caller
from jobs.iri.answers import shown
from jobs.iri.states import states_called
from jobs.queries.lookup import find_jobs, find_page
from jobs.queries.search import MAX_PAGE, Search
from jobs.states import FINAL, JobState
from rainbow.errors import InvalidArgument

# Where no index finds them, each page looks at some thousands of jobs.
MOST_PAGES = 40
_TOO_MANY = "match too few of too many jobs; list them over the REST API, page by page"
_TOO_LONG = "the specifications of so many jobs do not fit one answer; ask for fewer"


def list_jobs(
    by: Caller, *, offset: int, limit: int, historical: bool, include_spec: bool, state: str | None, name: str | None
) -> list[dict[str, Any]]:
    """Newest first. Raises InvalidArgument."""
    states = (states_called(state) if state else frozenset(JobState)) - (frozenset() if historical else FINAL)
    if not (states and limit):
        return []
    ids = _ids(by, sorted(states), name or "", offset + limit)[offset:]
    answer: list[dict[str, Any]] = []
    while ids:
        found = find_jobs(by=by, job_ids=ids, brief=not include_spec)
        if include_spec and found.remaining:
            raise InvalidArgument(_TOO_LONG, field="limit")
        answer += [shown(job, include_spec=include_spec) for job in found.jobs]
        ids = found.remaining
    return answer


def _ids(by: Caller, states: list[JobState], name: str, number: int) -> list[int]:
    """Of the first of them, as many."""
    ids: list[int] = []
    last = 0
    for _ in range(MOST_PAGES):
        search = Search(states=states, name=name, size=min(number - len(ids), MAX_PAGE), last=last)
        page = find_page(by=by, search=search)
        ids += page.ids
        last = page.ids[-1] if page.more else page.looked_until
        if len(ids) >= number or not last:
            return ids
    raise InvalidArgument(_TOO_MANY, field="name" if name else "offset")
