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
from jobs.my.forms import ResubmitForm
from jobs.queries.lookup import get_jobs
from jobs.services.resubmit import home_of, resubmit_job
from rainbow.errors import RainbowError


@for_people("POST")
def resubmit_view(request: HttpRequest, job_id: int) -> HttpResponse:
    """Asks on GET and submits on POST."""
    by = me(request)
    job = get_jobs(by=by, job_ids=[job_id_from(str(job_id))], brief=True).get(job_id)
    if job is None:
        raise Http404
    form = _form(request, by, job_id, job.project)
    if form.is_valid() and (new := _resubmitted(request, job_id, form)):
        return redirect("my-job", new)
    return page(request, "resubmit", f"Submit job {job.id} again", job=job, form=form)


def _form(request: HttpRequest, by: Caller, job_id: int, project: str) -> ResubmitForm:
    projects = projects_of(by)
    choices = {
        "clusters": sorted({name for one in projects for name in one.clusters}),
        "projects": [one.name for one in projects],
    }
    if request.method == "POST":
        return ResubmitForm(request.POST, **choices)
    home = Cluster.objects.filter(id=home_of(job_id) or 0).values_list("name", flat=True).first()
    return ResubmitForm(initial={"cluster": home, "project": project, "key": f"page-{uuid4()}"}, **choices)


def _resubmitted(request: HttpRequest, job_id: int, form: ResubmitForm) -> int:
    """The id of the new job; 0 where it is refused, which the page then says."""
    said = form.cleaned_data
    try:
        by = me(request, cluster=said["cluster"])
        receipt = resubmit_job(job_id=job_id, by=by, project=said["project"], key=said["key"], now=timezone.now())
    except RainbowError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))
        return 0
    messages.success(request, f"Submitted as job {receipt.job_id}.")
    return receipt.job_id
