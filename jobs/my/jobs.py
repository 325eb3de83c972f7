"""A person's jobs, and those of their projects that they see."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from clusters.callers import Caller
from clusters.my.page import for_people, me, page
from jobs.admin.forms import job_id_from
from jobs.admin.live_output import MOST_BYTES_OF_FILE, output_file, output_part
from jobs.admin.shown_jobs import links_from, shown_job
from jobs.admin.signals import takes_signals
from jobs.models import Job
from jobs.my.forms import MySearchForm
from jobs.outcomes import CHANGED, cancel_outcome
from jobs.queries.lookup import list_jobs, within_reach


@for_people()
def list_view(request: HttpRequest) -> HttpResponse:
    by, text = me(request), request.GET.get("text", "").strip()
    job_id = job_id_from(text)
    if job_id and within_reach(by).filter(id=job_id).exists():
        return redirect("my-job", job_id)
    form = MySearchForm(request.GET, me=by)
    found = _found(request, by, form) if form.is_valid() else {}
    return page(request, "jobs", "My jobs", form=form, **found)


def _found(request: HttpRequest, by: Caller, form: MySearchForm) -> dict[str, Any]:
    last = job_id_from(request.GET.get("last", ""))
    found = list_jobs(by=by, search=form.search(now=timezone.now(), last=last))
    chosen = [(name, value) for name, value in request.GET.items() if name in form.fields and value]
    choosing = request.GET.copy()
    choosing["choose"] = "1"
    return {
        "page": found,
        "first_page": not last,
        "chosen": chosen,
        "choose": "choose" in request.GET,
        "choosing": f"?{choosing.urlencode()}",
        **links_from(request.GET, found),
    }


@for_people()
def job_view(request: HttpRequest, job_id: int) -> HttpResponse:
    by = me(request)
    shown = shown_job(by, job_id_from(str(job_id)), now=timezone.now())
    job = shown["job"]
    may_act = Job.objects.owned_by(by).filter(id=job.id).exists()
    context = {
        **shown,
        "sees_content": True,
        "output_url": reverse("my-job-output", args=[job.id]),
        "file_url": reverse("my-job-file", args=[job.id]),
        "most_bytes_of_file": MOST_BYTES_OF_FILE,
        "may_cancel": may_act and cancel_outcome(job) in CHANGED,
        "may_signal": may_act and takes_signals(job),
        "may_submit": bool(by.projects),
    }
    return page(request, "job", f"Job {job.id} {job.name}", **context)


@for_people()
def output_view(request: HttpRequest, job_id: int) -> HttpResponse:
    """A part of what the job wrote, for the script of its page."""
    return output_part(request, by=me(request), job_id=job_id)


@for_people()
def file_view(request: HttpRequest, job_id: int) -> HttpResponse:
    """A file that the job left."""
    return output_file(request, by=me(request), job_id=job_id, job_page=reverse("my-job", args=[job_id]))
