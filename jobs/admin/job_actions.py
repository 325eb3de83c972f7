"""Actions on selected jobs: a page that asks, and one transaction."""

from collections import Counter
from collections.abc import Sequence

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.shown import ShownAdmin, log_action, operator_of, refusals_shown
from jobs.admin.forms import FORMS, action_from, job_id_from
from jobs.models import Job
from jobs.queries.applicable import changeable
from jobs.services.actions import Action, apply_to_jobs
from jobs.services.change_result import ChangeResult
from jobs.states import ActionKind

# The size of a page of the list.
_MOST = 1_000
DONE = {
    ActionKind.CANCEL: "cancelled",
    ActionKind.REQUEUE: "requeued",
    ActionKind.PRIORITIZE: "given another priority",
    ActionKind.MOVE: "moved",
}
# Which jobs do not change.
EXCEPT = {
    ActionKind.CANCEL: "Final jobs cannot be cancelled, nor jobs that were accepted without an agent.",
    ActionKind.REQUEUE: "Only accepted and lost jobs can be requeued, and none whose cancel was requested.",
    ActionKind.PRIORITIZE: "Only waiting jobs have a priority.",
    ActionKind.MOVE: "Only waiting jobs can be moved.",
}
CONSEQUENCES = {
    ActionKind.CANCEL: "Waiting and lost jobs end at once. Running jobs are stopped by their agent at its next report.",
    ActionKind.REQUEUE: "They are queued again, as their next attempt. A job that had started may run twice.",
    ActionKind.PRIORITIZE: "Among the waiting jobs of a cluster the higher priority goes first, then the older job.",
    ActionKind.MOVE: "They wait in the other cluster's queue. Their submitters still see them.",
}


class JobActions(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("act/<kind>/", view, name="jobs_job_act"), *super().get_urls()]

    def act_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Asks on GET and acts on POST, on the jobs of the parameters `id`."""
        self.check_may_act(request)
        what = kind_from(kind)
        said = request.POST if request.method == "POST" else request.GET
        ids = ids_from(said)
        if not ids:
            messages.warning(request, "Choose the jobs first.")
            return HttpResponseRedirect(reverse("admin:jobs_job_changelist"))
        form = FORMS[what](request.POST if request.method == "POST" else None)
        if form.is_valid():
            with refusals_shown(request):
                self._act(request, action_from(what, form), ids)
            return HttpResponseRedirect(_page_of(ids))
        jobs = (
            Job.objects.filter(id__in=ids)
            .select_related("cluster")
            .defer("output", "command", "environment", "cluster__facts")
        )
        changing = changeable(kind=what, job_ids=ids)
        context = {
            "kind": what,
            "form": form,
            "ids": ids,
            "found": jobs.order_by("id"),
            "changing": changing,
            "consequence": CONSEQUENCES[what],
            "exception": EXCEPT[what] if len(changing) < len(ids) else "",
        }
        return self.page(request, "console/act_on_jobs.html", title_of(what, len(changing), of=len(ids)), **context)

    def _act(self, request: HttpRequest, action: Action, ids: Sequence[int]) -> None:
        results = apply_to_jobs(action=action, by=operator_of(request), job_ids=ids, now=timezone.now())
        changed = [result.job_id for result in results if not result.refusal]
        rows = list(Job.objects.filter(id__in=changed).only("id", "name"))
        log_action(request, [*rows], f"{DONE[action.kind]}: {action.reason}")
        _tell(request, action.kind, results)


def _tell(request: HttpRequest, kind: ActionKind, results: Sequence[ChangeResult]) -> None:
    refused = Counter(result.refusal for result in results if result.refusal)
    changed = len(results) - refused.total()
    if changed:
        messages.success(request, f"{jobs_in_words(changed)} {DONE[kind]}.")
    for refusal, number in refused.most_common():
        messages.warning(request, f"{jobs_in_words(number)} not {DONE[kind]}: {refusal}.")


def kind_from(text: str) -> ActionKind:
    """Raises PermissionDenied for an unknown kind."""
    if text not in ActionKind:
        raise PermissionDenied
    return ActionKind(text)


def title_of(kind: ActionKind, number: int | str, *, of: int | str) -> str:
    """For example "Cancel 3 of 5 jobs"."""
    jobs = jobs_in_words(of)
    if number == 0:
        return f"The job cannot be {DONE[kind]}" if of == 1 else f"None of {jobs} can be {DONE[kind]}"
    some = f"{number:,}" if isinstance(number, int) else number
    return f"{kind.label.capitalize()} {jobs if number == of else f'{some} of {jobs}'}"


def jobs_in_words(number: int | str) -> str:
    return f"{number:,} {'job' if number == 1 else 'jobs'}" if isinstance(number, int) else f"{number} jobs"


def ids_from(said: QueryDict) -> list[int]:
    return list(dict.fromkeys(filter(None, map(job_id_from, said.getlist("id")))))[:_MOST]


def _page_of(ids: Sequence[int]) -> str:
    if len(ids) == 1:
        return reverse("admin:jobs_job_change", args=[ids[0]])
    return reverse("admin:jobs_job_changelist")
