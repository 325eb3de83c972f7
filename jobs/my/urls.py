from django.urls import path
from django.views.generic import RedirectView

from jobs.my import clusters, groups, webhooks
from jobs.my.cancel import cancel_view
from jobs.my.jobs import file_view, job_view, list_view, output_view
from jobs.my.resubmit import resubmit_failed_view, resubmit_view
from jobs.my.signal import signal_view
from jobs.my.usage import usage_view
from rainbow_site.web.rest import converters  # noqa: F401  (registers the converter)

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="my-jobs")),
    path("jobs/", list_view, name="my-jobs"),
    path("jobs/cancel/", cancel_view, name="cancel-my-jobs"),
    path("jobs/<int:job_id>/", job_view, name="my-job"),
    path("jobs/<int:job_id>/output/", output_view, name="my-job-output"),
    path("jobs/<int:job_id>/file/", file_view, name="my-job-file"),
    path("jobs/<int:job_id>/resubmit/", resubmit_view, name="resubmit-my-job"),
    path("jobs/<int:job_id>/signal/", signal_view, name="signal-my-job"),
    path("groups/", groups.list_view, name="my-groups"),
    path("groups/<int:group_id>/", groups.group_view, name="my-group"),
    path("groups/<int:group_id>/cancel/", groups.cancel_view, name="cancel-my-group"),
    path("groups/<int:group_id>/resubmit/", resubmit_failed_view, name="resubmit-failed-of-my-group"),
    path("projects/<cluster:name>/webhooks/", webhooks.list_view, name="my-webhooks"),
    path("projects/<cluster:name>/webhooks/new/", webhooks.new_view, name="new-webhook-of-mine"),
    path("projects/<cluster:name>/webhooks/<int:webhook>/remove/", webhooks.remove_view, name="remove-webhook-of-mine"),
    path("projects/<cluster:name>/webhooks/<int:webhook>/resume/", webhooks.resume_view, name="resume-webhook-of-mine"),
    path("usage/", usage_view, name="my-usage"),
    path("clusters/", clusters.list_view, name="my-clusters"),
    path("clusters/<cluster:name>/", clusters.cluster_view, name="my-cluster"),
]
