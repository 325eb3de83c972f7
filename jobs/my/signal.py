from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from clusters.admin.shown import refusals_shown
from clusters.my.page import for_people, me, page
from jobs.admin.forms import job_id_from
from jobs.admin.shown_jobs import job_or_404
from jobs.admin.signals import SignalForm, asked, sent, title_of
from jobs.models import Job


@for_people("POST")
def signal_view(request: HttpRequest, job_id: int) -> HttpResponse:
    """Asks on GET and sends on POST. Answers alike for a job that is not there and one that is another's."""
    by = me(request)
    job = job_or_404(by, job_id_from(str(job_id)))
    if not Job.objects.owned_by(by).filter(id=job.id).exists():
        raise Http404
    form = SignalForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with refusals_shown(request):
            sent(request, by, job, form.cleaned_data["signal"])
        return redirect("my-job", job.id)
    return page(request, "signal", title_of(job), **asked(job, form))
