from collections import Counter

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from clusters.admin.shown import refusals_shown
from clusters.callers import Caller
from clusters.my.forms import WhyForm
from clusters.my.page import for_people, me, page
from jobs.admin.job_actions import CONSEQUENCES, EXCEPT, ids_from, jobs_in_words, title_of
from jobs.models import Job
from jobs.outcomes import CHANGED, CancelOutcome
from jobs.queries.applicable import changeable
from jobs.services.cancel import cancel_jobs
from jobs.states import ActionKind

_TOLD = {CancelOutcome.CANCELLED: "cancelled", CancelOutcome.REQUESTED: "will be stopped by the cluster's agent"}


@for_people("POST")
def cancel_view(request: HttpRequest) -> HttpResponse:
    """Asks on GET and cancels on POST, the jobs of the parameters `id` that the person may cancel."""
    by, said = me(request), request.POST if request.method == "POST" else request.GET
    jobs = Job.objects.owned_by(by).filter(id__in=ids_from(said)).select_related("cluster", "owner", "project")
    found = list(jobs.defer("output", "command", "environment", "cluster__facts").order_by("id"))
    ids = [job.id for job in found]
    if not ids:
        messages.warning(request, "Choose jobs that you may cancel first.")
        return redirect("my-jobs")
    form = WhyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with refusals_shown(request):
            _cancel(request, by, ids, form.cleaned_data["reason"])
        return redirect("my-job", ids[0]) if len(ids) == 1 else redirect("my-jobs")
    changing = changeable(kind=ActionKind.CANCEL, job_ids=ids)
    context = {
        "form": form,
        "ids": ids,
        "found": found,
        "changing": changing,
        "consequence": CONSEQUENCES[ActionKind.CANCEL],
        "exception": EXCEPT[ActionKind.CANCEL] if len(changing) < len(ids) else "",
    }
    return page(request, "cancel", title_of(ActionKind.CANCEL, len(changing), of=len(ids)), **context)


def _cancel(request: HttpRequest, by: Caller, ids: list[int], reason: str) -> None:
    results = cancel_jobs(by=by, job_ids=ids, reason=reason, now=timezone.now())
    for outcome, number in Counter(result.outcome for result in results).most_common():
        if outcome in CHANGED:
            messages.success(request, f"{jobs_in_words(number)} {_TOLD[outcome]}.")
        else:
            messages.warning(request, f"{jobs_in_words(number)} not cancelled: {outcome.value}.")
