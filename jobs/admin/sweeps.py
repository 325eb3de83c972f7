"""Acting on all jobs that match: a page that asks, and one that shows how far it is."""

from collections import Counter

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.shown import ShownAdmin, log_act, operator_of, refusals_shown
from clusters.models import Cluster
from jobs.admin.acts import CONSEQUENCES, DONE, EXCEPT, kind_from, title_of
from jobs.admin.forms import FORMS, SearchForm, act_from
from jobs.models import Sweep
from jobs.queries.applicable import at_most, foresee
from jobs.queries.lookup import count_jobs
from jobs.queries.search import Search
from jobs.queries.summaries import summarize_jobs
from jobs.services.sweep import begin_sweep, step_sweep, stop_sweep
from jobs.states import ActionKind, JobState

# A search that the counts do not answer is counted no further than this before one is asked.
_COUNT_UP_TO = 5_000


class JobSweeps(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("sweep/begin/<kind>/", wrap(self.begin_view), name="jobs_sweep_begin"),
            path("sweep/<int:sweep_id>/", wrap(self.sweep_view), name="jobs_sweep"),
            path("sweep/<int:sweep_id>/step/", wrap(self.step_view), name="jobs_sweep_step"),
            path("sweep/<int:sweep_id>/stop/", wrap(self.stop_view), name="jobs_sweep_stop"),
            *super().get_urls(),
        ]

    def begin_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Asks on GET and begins on POST; which jobs stands in the query string, as in the list."""
        self.check_acts(request)
        act_kind, chosen = kind_from(kind), SearchForm(request.GET)
        if not chosen.is_valid():
            return HttpResponseRedirect(f"{reverse('admin:jobs_job_changelist')}?{request.GET.urlencode()}")
        form = FORMS[act_kind](request.POST if request.method == "POST" else None)
        search = chosen.search(user=request.user, now=timezone.now())
        if form.is_valid():
            with refusals_shown(request):
                act = act_from(act_kind, form)
                sweep = begin_sweep(act=act, search=search, by=operator_of(request), now=timezone.now())
                which = " ".join(chosen.in_words()) or "without exception"
                log_act(request, [sweep], f"began to {act_kind.label} all jobs {which}: {act.reason}")
                return _page_of(sweep.id)
        changing, of = _extent(request, act_kind, search)
        context = {
            "kind": act_kind,
            "form": form,
            "words": chosen.in_words(),
            "back": request.GET.urlencode(),
            "changing": changing,
            "consequence": CONSEQUENCES[act_kind],
            "exception": EXCEPT[act_kind] if changing != of else "",
        }
        return self.page(request, "console/begin_sweep.html", title_of(act_kind, changing, of=of), **context)

    def sweep_view(self, request: HttpRequest, sweep_id: int) -> HttpResponse:
        self.check_sees(request)
        sweep = get_object_or_404(Sweep.objects.select_related("operator", "to_cluster"), id=sweep_id)
        kind = ActionKind(sweep.kind)
        context = {"sweep": sweep, "done": DONE[kind]}
        return self.page(request, "console/sweep.html", f"{kind.label.capitalize()} all that match", **context)

    def step_view(self, request: HttpRequest, sweep_id: int) -> HttpResponse:
        self.check_acts(request)
        get_object_or_404(Sweep, id=sweep_id)
        if request.method != "POST":
            return _page_of(sweep_id)
        sweep = step_sweep(sweep_id=sweep_id, now=timezone.now())
        if sweep.over and not sweep.stopped:
            log_act(request, [sweep], f"{sweep.changed:,} {DONE[ActionKind(sweep.kind)]}, {sweep.refused:,} not")
        return _page_of(sweep_id)

    def stop_view(self, request: HttpRequest, sweep_id: int) -> HttpResponse:
        self.check_acts(request)
        sweep = get_object_or_404(Sweep, id=sweep_id)
        if request.method != "POST":
            return _page_of(sweep_id)
        with refusals_shown(request):
            stop_sweep(sweep_id=sweep_id, now=timezone.now())
            log_act(request, [sweep], f"stopped after {sweep.changed:,} jobs")
            messages.success(request, "Stopped. What was done stays done.")
        return _page_of(sweep_id)


def _page_of(sweep_id: int) -> HttpResponseRedirect:
    """Where a link to an act leads, too, such as after signing in again: it must not act."""
    return HttpResponseRedirect(reverse("admin:jobs_sweep", args=[sweep_id]))


def _extent(request: HttpRequest, kind: ActionKind, search: Search) -> tuple[int | str, int | str]:
    """How many jobs the act changes, and how many match: from the counts where they know, otherwise counted so far."""
    by = operator_of(request)
    found = foresee(kind=kind, by=by, search=search)
    if search.labels or search.text or search.submitted_by or search.submitted_after:
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
