"""Signals to a job that runs: a page that asks, and what pages say of it."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from clusters.admin.forms import ReasonForm
from clusters.admin.shown import ShownAdmin, log_action, operator_of, refusals_shown
from clusters.callers import Caller, Operator
from jobs.admin.forms import job_id_from
from jobs.admin.shown_jobs import job_or_404
from jobs.models import Job
from jobs.outcomes import SignalOutcome
from jobs.services.signal import signal_jobs
from jobs.signals import SIGNALS
from jobs.states import JobState

CONSEQUENCE = (
    "The cluster's agent sends it to all processes of the job, within a second. "
    "The job's events say when it was sent, or why it could not be."
)
EXCEPTION = "The job does not run, or no agent has it."


class SignalForm(forms.Form):
    signal = forms.ChoiceField(choices=[("", "choose one"), *((name, name) for name in SIGNALS)])


class OperatorsSignalForm(SignalForm, ReasonForm):
    field_order = ["signal", "reason"]


class Signals(ShownAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.signal_view)
        return [path("<int:job_id>/signal/", view, name="jobs_job_signal"), *super().get_urls()]

    def signal_view(self, request: HttpRequest, job_id: int) -> HttpResponse:
        """Asks on GET and sends on POST."""
        self.check_may_act(request)
        by = operator_of(request)
        job = job_or_404(by, job_id_from(str(job_id)))
        form = OperatorsSignalForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            signal, reason = form.cleaned_data["signal"], form.cleaned_data["reason"]
            with refusals_shown(request):
                if sent(request, by, job, signal):
                    log_action(request, [job], f"SIG{signal} requested: {reason}")
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[job.id]))
        return self.page(request, "console/signal_job.html", title_of(job), **asked(job, form))


def title_of(job: Job) -> str:
    return f"Send a signal to job {job.id}"


def asked(job: Job, form: SignalForm) -> dict[str, object]:
    return {
        "job": job,
        "form": form,
        "changing": takes_signals(job),
        "consequence": CONSEQUENCE,
        "exception": EXCEPTION,
    }


def takes_signals(job: Job) -> bool:
    return job.state == JobState.RUNNING and bool(job.agent)


def sent(request: HttpRequest, by: Caller | Operator, job: Job, signal: str) -> bool:
    """Whether the agent is asked to send it, which the page then says. Raises as the service does."""
    (result,) = signal_jobs(by=by, job_ids=[job.id], signal=signal, now=timezone.now())
    done = result.outcome is SignalOutcome.REQUESTED
    tell = messages.success if done else messages.warning
    tell(request, f"SIG{signal} will be sent by the cluster's agent." if done else f"Not sent: {result.outcome.value}.")
    return done
