from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from clusters.callers import Caller
from clusters.models import Cluster
from clusters.my.page import for_people, me, page
from clusters.queries.people import projects_of
from jobs.admin.forms import job_id_from
from jobs.admin.job_actions import jobs_in_words
from jobs.admin.shown_groups import shown_group
from jobs.my.forms import ResubmitForm
from jobs.queries.groups import FoundGroup
from jobs.queries.lookup import MAX_LOOKUP, find_page, get_jobs
from jobs.queries.search import Search
from jobs.services.resubmit import Resubmission, home_of, resubmit_all, resubmit_job
from jobs.states import JobState
from rainbow.errors import RainbowError


@for_people("POST")
def resubmit_view(request: HttpRequest, job_id: int) -> HttpResponse:
    """Asks on GET and submits on POST."""
    by = me(request)
    job = get_jobs(by=by, job_ids=[job_id_from(str(job_id))], brief=True).get(job_id)
    if job is None:
        raise Http404
    home = Cluster.objects.filter(id=home_of(job_id) or 0).values_list("name", flat=True).first()
    form = _form(request, by, cluster=home or "", project=job.project)
    if form.is_valid() and (new := _resubmitted(request, job_id, form)):
        return redirect("my-job", new)
    return page(request, "resubmit", f"Submit job {job.id} again", job=job, form=form)


@for_people("POST")
def resubmit_failed_view(request: HttpRequest, group_id: int) -> HttpResponse:
    """The same for the members of a group that failed, up to 1,000: more are for the command line."""
    by = me(request)
    group = shown_group(by, group_id)["group"]
    failed = group.counts.get(JobState.FAILED, 0)
    form = _form(request, by, cluster=group.cluster, project=group.project)
    fits = 0 < failed <= MAX_LOOKUP
    if fits and form.is_valid() and _failed_resubmitted(request, group, form):
        return redirect("my-group", group.id)
    context = {"group": group, "form": form, "failed": failed, "fits": fits, "most": MAX_LOOKUP}
    return page(request, "resubmit_failed", f"Submit the failed jobs of group {group.id} again", **context)


def _form(request: HttpRequest, by: Caller, **first: str) -> ResubmitForm:
    projects = projects_of(by)
    choices = {
        "clusters": sorted({name for one in projects for name in one.clusters}),
        "projects": [one.name for one in projects],
    }
    if request.method == "POST":
        return ResubmitForm(request.POST, **choices)
    return ResubmitForm(initial={**first, "key": f"page-{uuid4()}"}, **choices)


def _resubmitted(request: HttpRequest, job_id: int, form: ResubmitForm) -> int:
    """The id of the new job; 0 where it is refused, which the page then says."""
    try:
        by, wish = _wish(request, form)
        receipt = resubmit_job(job_id=job_id, by=by, **wish)
    except RainbowError as error:
        _say_in(form, error)
        return 0
    messages.success(request, f"Submitted as job {receipt.job_id}.")
    return receipt.job_id


def _failed_resubmitted(request: HttpRequest, group: FoundGroup, form: ResubmitForm) -> bool:
    """Whether at least one was submitted; where all are refused, the page says why."""
    try:
        by, wish = _wish(request, form)
        job_ids = _failed_of(me(request), group)
        results = resubmit_all(by=by, job_ids=job_ids, **wish)
    except RainbowError as error:
        _say_in(form, error)
        return False
    refused = [result.outcome for result in results if isinstance(result.outcome, RainbowError)]
    if len(refused) == len(results):
        for refusal in _distinct(refused):
            _say_in(form, refusal)
        return False
    _tell(request, results)
    return True


def _failed_of(by: Caller, group: FoundGroup) -> list[int]:
    """At most as many as can be submitted again in one call, the oldest first."""
    ids, more, last = list[int](), True, 0
    while more and len(ids) < MAX_LOOKUP:
        search = Search(states=[JobState.FAILED], group=group.id, size=MAX_LOOKUP - len(ids), last=last)
        found = find_page(by=by, search=search)
        ids += found.ids
        more, last = found.more and bool(found.ids), ids[-1] if ids else 0
    return sorted(ids)


def _wish(request: HttpRequest, form: ResubmitForm) -> tuple[Caller, Mapping[str, Any]]:
    """Raises Unauthenticated where the cluster is out of reach by now."""
    said = form.cleaned_data
    by = me(request, cluster=said["cluster"])
    return by, {"changes": form.changes, "project": said["project"], "key": said["key"], "now": timezone.now()}


def _tell(request: HttpRequest, results: Sequence[Resubmission]) -> None:
    receipts = [result.outcome for result in results if not isinstance(result.outcome, RainbowError)]
    before = sum(receipt.duplicate for receipt in receipts)
    if new := len(receipts) - before:
        messages.success(request, f"{jobs_in_words(new)} submitted again.")
    if before:
        messages.success(request, f"{jobs_in_words(before)} submitted again before, by the same form.")
    refused = Counter(str(result.outcome) for result in results if isinstance(result.outcome, RainbowError))
    for refusal, number in refused.most_common():
        messages.warning(request, f"{jobs_in_words(number)} refused: {refusal}.")


def _distinct(errors: Sequence[RainbowError]) -> list[RainbowError]:
    return list({str(error): error for error in errors}.values())


def _say_in(form: ResubmitForm, error: RainbowError) -> None:
    if error.field in form.fields:
        form.add_error(error.field, error.message)
    else:
        form.add_error(None, str(error))
