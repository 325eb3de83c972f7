"""Bulk actions: a page that asks, and one that shows the progress."""

from collections import Counter

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.shown import ShownAdmin, log_action, operator_of, refusals_shown
from clusters.models import Cluster
from jobs.admin.forms import FORMS, SearchForm, action_from
from jobs.admin.job_actions import CONSEQUENCES, DONE, EXCEPT, kind_from, title_of
from jobs.models import BulkAction
from jobs.queries.applicable import at_most, foresee
from jobs.queries.lookup import count_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import summarize_jobs
from jobs.services.bulk_actions import begin_bulk_action, step_bulk_action, stop_bulk_action
from jobs.states import ActionKind, JobState

_COUNT_UP_TO = 5_000


class BulkActions(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("bulk/begin/<kind>/", wrap(self.begin_view), name="jobs_bulk_action_begin"),
            path("bulk/<int:bulk_action_id>/", wrap(self.bulk_action_view), name="jobs_bulk_action"),
            path("bulk/<int:bulk_action_id>/step/", wrap(self.step_view), name="jobs_bulk_action_step"),
            path("bulk/<int:bulk_action_id>/stop/", wrap(self.stop_view), name="jobs_bulk_action_stop"),
            *super().get_urls(),
        ]

    def begin_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Asks on GET and begins on POST. The query string selects the jobs, as in the list."""
        self.check_may_act(request)
        what, chosen = kind_from(kind), SearchForm(request.GET)
        if not chosen.is_valid():
            return HttpResponseRedirect(f"{reverse('admin:jobs_job_changelist')}?{request.GET.urlencode()}")
        form = FORMS[what](request.POST if request.method == "POST" else None)
        search = chosen.search(user=request.user, now=timezone.now())
        if form.is_valid():
            with refusals_shown(request):
                action = action_from(what, form)
                by = operator_of(request)
                bulk_action = begin_bulk_action(action=action, search=search, by=by, now=timezone.now())
                which = " ".join(chosen.in_words()) or "without exception"
                log_action(request, [bulk_action], f"began to {what.label} all jobs {which}: {action.reason}")
                return _page_of(bulk_action.id)
        changing, of = _extent(request, what, search)
        context = {
            "kind": what,
            "form": form,
            "words": chosen.in_words(),
            "back": request.GET.urlencode(),
            "changing": changing,
            "consequence": CONSEQUENCES[what],
            "exception": EXCEPT[what] if changing != of else "",
        }
        return self.page(request, "console/begin_bulk_action.html", title_of(what, changing, of=of), **context)

    def bulk_action_view(self, request: HttpRequest, bulk_action_id: int) -> HttpResponse:
        self.check_sees(request)
        bulk_action = get_object_or_404(BulkAction.objects.select_related("operator", "to_cluster"), id=bulk_action_id)
        kind = ActionKind(bulk_action.kind)
        context = {"bulk_action": bulk_action, "done": DONE[kind]}
        return self.page(request, "console/bulk_action.html", f"{kind.label.capitalize()} all that match", **context)

    def step_view(self, request: HttpRequest, bulk_action_id: int) -> HttpResponse:
        self.check_may_act(request)
        get_object_or_404(BulkAction, id=bulk_action_id)
        if request.method != "POST":
            return _page_of(bulk_action_id)
        now = timezone.now()
        bulk_action = step_bulk_action(bulk_action_id=bulk_action_id, now=now)
        # Else another step ended it, and said so.
        if bulk_action.finished_at == now:
            done = DONE[ActionKind(bulk_action.kind)]
            log_action(request, [bulk_action], f"{bulk_action.changed:,} {done}, {bulk_action.refused:,} not")
        return _page_of(bulk_action_id)

    def stop_view(self, request: HttpRequest, bulk_action_id: int) -> HttpResponse:
        self.check_may_act(request)
        bulk_action = get_object_or_404(BulkAction, id=bulk_action_id)
        if request.method != "POST":
            return _page_of(bulk_action_id)
        with refusals_shown(request):
            stop_bulk_action(bulk_action_id=bulk_action_id, now=timezone.now())
            log_action(request, [bulk_action], f"stopped after {bulk_action.changed:,} jobs")
            messages.success(request, "Stopped. What was done stays done.")
        return _page_of(bulk_action_id)


def _page_of(bulk_action_id: int) -> HttpResponseRedirect:
    """Also for GET of the step and stop URLs, to which signing in again may lead: GET must not act."""
    return HttpResponseRedirect(reverse("admin:jobs_bulk_action", args=[bulk_action_id]))


def _extent(request: HttpRequest, kind: ActionKind, search: Search) -> tuple[int | str, int | str]:
    """How many jobs the action changes, and how many match: exact if the counts tell, or counted up to _COUNT_UP_TO."""
    by = operator_of(request)
    found = foresee(kind=kind, by=by, search=search)
    uncounted = (search.submitted_by, search.owner_id, search.project_id, search.submitted_after)
    if search.labels or search.text or any(uncounted):
        number = count_jobs(by=by, search=search, most=_COUNT_UP_TO)
        of = number if number < _COUNT_UP_TO else f"{number:,} or more"
        return f"{found.jobs:,} or more" if found.more else found.jobs, of
    counts = _counts(search)
    of = sum(counts.get(state, 0) for state in search.states or JobState)
    most = at_most(counts, kind=kind, search=search)
    if found.more:
        return most if most == of else f"up to {most:,}", of
    return found.jobs, of


def _counts(search: Search) -> Counter[JobState]:
    ids = [search.cluster_id] if search.cluster_id else list(Cluster.objects.values_list("id", flat=True))
    total: Counter[JobState] = Counter()
    for summary in summarize_jobs(cluster_ids=ids):
        total.update(summary.counts)
    return total
