"""A search for jobs, as ranges of indexes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product

from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from clusters.callers import Caller, Operator
from clusters.models import CredentialKind
from clusters.validation import check_line, check_range
from jobs.models import MAX_ID, Job, JobLabel, JobQuerySet
from jobs.queries.groups import visible_groups
from jobs.sight import seen_by
from jobs.specs import MAX_NAME, check_labels
from jobs.sql.reads import ids_in_ranges, range_of_jobs
from jobs.states import JobState

MAX_PAGE = 1_000
# Ids rise with the time of submission, but for what several servers submit at the same moment.
_SLACK = timedelta(minutes=1)
# How many jobs of a state are scanned at a time for what no index finds: text, and what is compared as a whole.
_WINDOW_OF_TEXT = 5_000
_WINDOW = 20_000
# A label that so few jobs have is looked up by itself; one that more have, so many of them at a time.
_FEW = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which jobs to list; empty, 0 and None mean any.

    `last` is the last id of the page before, 0 for the first page. `size` is 1 to 1,000; 0 means 100.
    `text` is part of the name or, if `in_commands`, of the command, in any case. No index finds it, nor a `name`: so
    only the newest 5,000 or 20,000 jobs of each state are scanned, and the page says how far. Of a label that many jobs
    have the next 1,000 are looked at, where there are more jobs than that in question.
    """

    states: Sequence[JobState] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    text: str = ""
    in_commands: bool = False
    cluster_id: int | None = None
    submitted_by: int | None = None
    owner_id: int | None = None
    project_id: int | None = None
    group: int = 0
    submitted_after: datetime | None = None
    submitted_before: datetime | None = None
    oldest_first: bool = False
    size: int = 0
    last: int = 0


def check_search(search: Search) -> None:
    """Raises InvalidArgument."""
    check_labels(search.labels)
    check_line(search.name, field="name", longest=MAX_NAME)
    check_line(search.text, field="text", longest=MAX_NAME)
    check_range(search.group, field="group", lowest=0, highest=MAX_ID)
    check_range(search.size, field="page_size", lowest=0, highest=MAX_PAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """The jobs of a search, in a range of an index for each state and owner.

    `owners` are the columns that lead an index, with their values; a job may be of several. `ids` are the first and the
    last that come into question. `narrowed` says whether `jobs` asks for more than that.
    """

    jobs: JobQuerySet
    narrowed: bool
    owners: Sequence[Mapping[str, int]]
    states: Sequence[JobState]
    ids: tuple[int, int]
    oldest_first: bool

    def first_ids(self, number: int) -> list[int]:
        """Merges the ranges: each is read from its end of the index, however long it is."""
        if self.narrowed:
            found = {job_id for ids in self for job_id in ids[:number]}
        else:
            found = set(ids_in_ranges(self.owners, self.states, self.ids, oldest_first=self.oldest_first, limit=number))
        return sorted(found, reverse=not self.oldest_first)[:number]

    def end_of_window(self, number: int) -> int:
        """The id up to which at most so many jobs of each range lie; 0 where none has so many."""
        ends = [end for ids in self for end in ids[number - 1 : number]]
        return (min(ends) if self.oldest_first else max(ends)) if ends else 0

    def up_to(self, end: int) -> tuple[int, int]:
        first, last = self.ids
        return (first, end) if self.oldest_first else (end, last)

    def __iter__(self) -> Iterator[QuerySet[Job, int]]:
        """The ids of each range in order."""
        sign = "" if self.oldest_first else "-"
        for owner, state in product(self.owners, self.states):
            order = [sign + column for column in (*owner, "state", "id")]
            condition = range_of_jobs(owner, state, self.ids, alone=not self.narrowed)
            within = RawSQL(*condition, output_field=BooleanField())
            yield self.jobs.filter(within).order_by(*order).values_list("id", flat=True)


def ranges_of(search: Search, by: Caller | Operator) -> tuple[Ranges, int]:
    """The ranges of the jobs of a search that the caller may see.

    And the last id that is read, where they have to be scanned; 0 if there are no more.
    """
    owners = _owners(by, search)
    narrowing = _narrowing(search, by) if isinstance(by, Caller) else Q()
    jobs = Job.objects.filter(narrowing) if narrowing else Job.objects.all()
    everywhere = Ranges(
        jobs=jobs,
        narrowed=bool(jobs.query.where),
        owners=owners,
        states=search.states or list(JobState),
        ids=_id_bounds(search),
        oldest_first=search.oldest_first,
    )
    known = owners[0] if len(owners) == 1 else {}
    jobs = _matching(everywhere.jobs, search, known=known)
    matching = replace(everywhere, jobs=jobs, narrowed=bool(jobs.query.where))
    if some := _next_labelled(search, everywhere):
        matching = replace(matching, jobs=jobs.filter(id__in=some), ids=matching.up_to(some[-1]))
    if search.text:
        end = matching.end_of_window(_WINDOW_OF_TEXT)
        matching = replace(matching, jobs=matching.jobs.filter(holds(search)), narrowed=True)
    else:
        end = everywhere.end_of_window(_WINDOW) if _has_no_index(search, by, known) else 0
    ends = [end for end in (end, *some[-1:]) if end]
    end = (min(ends) if search.oldest_first else max(ends)) if ends else 0
    return (replace(matching, ids=matching.up_to(end)) if end else matching), end


def _narrowing(search: Search, by: Caller) -> Q:
    """What the index does not say of the jobs that the caller may see."""
    if not search.group:
        return seen_by(by).narrowing
    if _sees_some_members(by) or visible_groups(by).filter(id=search.group).exists():
        return seen_by(by).within
    return Q(pk__in=())


def _sees_some_members(by: Caller) -> bool:
    """Others see all members of a group, or none."""
    return by.kind == CredentialKind.SECRET or bool(by.scopes)


def _next_labelled(search: Search, ranges: Ranges) -> list[int]:
    """The next ids of the label that is the rarest from here on, of so many jobs that they are looked at in parts.

    None where few have it, or where the ranges are short: then a page is found without.
    """
    first, last = ranges.ids
    sign = "" if search.oldest_first else "-"
    parts: list[list[int]] = []
    for key, value in search.labels.items():
        labelled = JobLabel.objects.filter(key=key, value=value, job_id__gte=first, job_id__lte=last)
        ordered = labelled.order_by(f"{sign}key", f"{sign}value", f"{sign}job_id").values_list("job_id", flat=True)
        parts.append(list(ordered[: _FEW + 1]))
    if not parts or min(map(len, parts)) <= _FEW or not ranges.end_of_window(_WINDOW):
        return []
    furthest = max if search.oldest_first else min
    return furthest((part[:_FEW] for part in parts), key=lambda part: part[-1])


def _has_no_index(search: Search, by: Caller | Operator, owner: Mapping[str, int]) -> bool:
    """Not for operators who ask for a cluster's token: nearly all of its jobs match."""
    further = {column for column, value in _asked(search) if owner.get(column) != value}
    if search.group:
        return bool(search.name or further or (isinstance(by, Caller) and _sees_some_members(by)))
    if isinstance(by, Caller):
        return bool(search.name or further or seen_by(by).narrowed)
    return bool(search.name or further - ({"submitted_by_id"} if "cluster_id" in owner else set()))


def matching_jobs(jobs: JobQuerySet, search: Search) -> JobQuerySet:
    """Those of the jobs that match all but the states and the text of a search."""
    first, last = _id_bounds(search)
    return _matching(jobs, search).filter(id__gte=first, id__lte=last)


def holds(search: Search) -> Q:
    """That the name, or the command, has the text of a search in it."""
    named = Q(name__icontains=search.text)
    return named | Q(command__icontains=search.text) if search.in_commands else named


def _matching(jobs: JobQuerySet, search: Search, *, known: Mapping[str, int] | None = None) -> JobQuerySet:
    if further := set(_asked(search)) - (known or {}).items():
        jobs = jobs.filter(**dict(further))
    if search.name:
        jobs = jobs.filter(name=search.name)
    for key, value in search.labels.items():
        jobs = jobs.filter(label_rows__key=key, label_rows__value=value)
        few = list(_with_label(key, value).values_list("job_id", flat=True)[: _FEW + 1])
        if len(few) <= _FEW:
            jobs = jobs.filter(id__in=few)
    if search.submitted_after:
        jobs = jobs.filter(submitted_at__gte=search.submitted_after)
    if search.submitted_before:
        jobs = jobs.filter(submitted_at__lt=search.submitted_before)
    return jobs


def _with_label(key: str, value: str) -> QuerySet[JobLabel]:
    return JobLabel.objects.filter(key=key, value=value).order_by("key", "value", "job_id")


def _id_bounds(search: Search) -> tuple[int, int]:
    """The ids that a page may hold: an index over ids finds them, where one over times would not serve."""
    first, last = 1, MAX_ID
    if search.last:
        first, last = (search.last + 1, last) if search.oldest_first else (first, search.last - 1)
    if search.submitted_after:
        earlier = _ids().filter(submitted_at__lt=_shifted(search.submitted_after, -_SLACK)).order_by("-submitted_at")
        first = max(first, (earlier.first() or 0) + 1)
    if search.submitted_before:
        later = _ids().filter(submitted_at__gt=_shifted(search.submitted_before, _SLACK)).order_by("submitted_at")
        last = min(last, (later.first() or last + 1) - 1)
    return first, last


def _ids() -> QuerySet[Job, int]:
    return Job.objects.values_list("id", flat=True)


def _shifted(at: datetime, span: timedelta) -> datetime:
    """No further than the calendar goes."""
    try:
        return at + span
    except OverflowError:
        return at


def _owners(by: Caller | Operator, search: Search) -> list[dict[str, int]]:
    """The columns that lead an index for this search, and their values: what a caller may see, and no more."""
    asked = _asked(search)
    if search.group:
        return [{"group": search.group}]
    if isinstance(by, Caller):
        seen = seen_by(by).owners
        return [{column: value} for column, value in [one for one in asked if one in seen][:1] or seen]
    return [dict(asked[:1])]


def _asked(search: Search) -> list[tuple[str, int]]:
    """The columns that lead an index and are asked for, with their values: those of the fewest jobs first."""
    exact = (
        ("owner_id", search.owner_id),
        ("project_id", search.project_id),
        ("cluster_id", search.cluster_id),
        ("submitted_by_id", search.submitted_by),
    )
    return [(column, value) for column, value in exact if value]
