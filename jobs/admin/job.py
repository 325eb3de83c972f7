from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.shown import operator_of
from clusters.callers import Operator
from jobs.admin.as_person import may_submit_job
from jobs.admin.bulk_actions import BulkActions
from jobs.admin.forms import SEE_CONTENT, SearchForm, job_id_from
from jobs.admin.groups import Groups
from jobs.admin.job_actions import JobActions
from jobs.admin.live_output import MOST_BYTES_OF_FILE, output_file, output_part
from jobs.admin.shown_jobs import links_from, shown_job
from jobs.admin.signals import Signals, takes_signals
from jobs.models import Job
from jobs.queries.applicable import actions_for, actions_for_all
from jobs.queries.lookup import Page, list_jobs
from jobs.queries.search import Search
from jobs.states import ActionKind


@admin.register(Job)
class JobAdmin(Groups, JobActions, BulkActions, Signals):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.check_sees(request)
        form = SearchForm(request.GET)
        text = request.GET.get("text", "").strip()
        if job_id_from(text) and Job.objects.filter(id=job_id_from(text)).exists():
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job_id_from(text)]))
        context = {"form": form, "sees_content": request.user.has_perm(SEE_CONTENT)}
        if form.is_valid():
            context |= self._found(request, form)
        return self.page(request, "console/jobs.html", "Jobs", **context)

    def _found(self, request: HttpRequest, form: SearchForm) -> dict[str, Any]:
        last = job_id_from(request.GET.get("last", ""))
        search = form.search(user=request.user, now=timezone.now(), last=last)
        page = list_jobs(by=operator_of(request), search=search)
        return {
            "page": page,
            "first_page": not last,
            "chosen": [(name, value) for name, value in request.GET.items() if name in form.fields and value],
            **(_offers(operator_of(request), search, page) if self.may_act(request) else {}),
            **links_from(request.GET, page),
        }

    def get_urls(self) -> list[URLPattern]:
        output, file = map(self.admin_site.admin_view, (self.output_view, self.file_view))
        return [
            path("<int:job_id>/output/", output, name="jobs_job_output"),
            path("<int:job_id>/file/", file, name="jobs_job_file"),
            *super().get_urls(),
        ]

    def output_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """A part of what the job wrote, for the script of its page."""
        self._check_sees_content(request)
        return output_part(request, by=operator_of(request), job_id=job_id)

    def file_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """A file that the job left."""
        self._check_sees_content(request)
        job_page = reverse("admin:jobs_job_change", args=[job_id])
        return output_file(request, by=operator_of(request), job_id=job_id, job_page=job_page)

    def _check_sees_content(self, request: HttpRequest) -> None:
        self.check_sees(request)
        if not request.user.has_perm(SEE_CONTENT):
            raise PermissionDenied

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Named change_view because the admin's log links to it."""
        self.check_sees(request)
        shown = shown_job(operator_of(request), job_id_from(object_id), now=timezone.now())
        job = shown["job"]
        context = {
            **shown,
            "sees_content": request.user.has_perm(SEE_CONTENT),
            "output_url": reverse("admin:jobs_job_output", args=[job.id]),
            "file_url": reverse("admin:jobs_job_file", args=[job.id]),
            "most_bytes_of_file": MOST_BYTES_OF_FILE,
            "kinds": actions_for([job]) if self.may_act(request) else [],
            "may_submit": may_submit_job(request, job),
            "may_signal": self.may_act(request) and takes_signals(job),
        }
        return self.page(request, "console/job.html", f"Job {job.id} {job.name}", **context)


def _offers(by: Operator, search: Search, page: Page) -> dict[str, list[ActionKind]]:
    kinds = actions_for(page.jobs)
    all_are_here = not (search.last or page.more or page.looked_until)
    return {"kinds": kinds, "kinds_for_all": kinds if all_are_here else actions_for_all(by=by, search=search)}
