from django.urls import path

from jobs.rest.changes import Move, Prioritize
from jobs.rest.clusters import ClusterDetail, Clusters
from jobs.rest.groups import CancelGroup, GroupDetail, Groups
from jobs.rest.inputs import Inputs, InputsOf
from jobs.rest.jobs import Cancel, CancelMany, Events, JobDetail, Jobs, Requeue, Signal
from jobs.rest.output import Output
from jobs.rest.pools import PoolDetail, Pools
from jobs.rest.queue import Accept, Queue, Reports
from jobs.rest.submission import Batch, BatchTo, Resubmission, ResubmissionTo, SubmissionTo
from jobs.rest.usage import MyUsage, Usage
from jobs.rest.webhooks import WebhookDetail, WebhookResume, Webhooks
from rainbow_site.web.rest import converters  # noqa: F401  (registers the converter)

urlpatterns = [
    path("jobs", Jobs.as_view()),
    path("jobs/batch", Batch.as_view()),
    path("jobs/cancel", CancelMany.as_view()),
    path("jobs/prioritize", Prioritize.as_view()),
    path("jobs/move", Move.as_view()),
    path("jobs/<int:job>", JobDetail.as_view(), name="job"),
    path("jobs/<int:job>/events", Events.as_view()),
    path("jobs/<int:job>/cancel", Cancel.as_view()),
    path("jobs/<int:job>/output", Output.as_view()),
    path("jobs/<int:job>/signal", Signal.as_view()),
    path("jobs/<int:job>/resubmit", Resubmission.as_view()),
    path("jobs/<int:job>/requeue", Requeue.as_view()),
    path("clusters", Clusters.as_view()),
    path("clusters/<cluster:cluster>", ClusterDetail.as_view()),
    path("clusters/<cluster:cluster>/queue", Queue.as_view()),
    path("clusters/<cluster:cluster>/accept", Accept.as_view()),
    path("clusters/<cluster:cluster>/report", Reports.as_view()),
    path("clusters/<cluster:cluster>/jobs", SubmissionTo.as_view()),
    path("clusters/<cluster:cluster>/jobs/batch", BatchTo.as_view()),
    path("groups", Groups.as_view()),
    path("groups/<int:group>", GroupDetail.as_view()),
    path("clusters/<cluster:cluster>/jobs/<int:job>/resubmit", ResubmissionTo.as_view()),
    path("clusters/<cluster:cluster>/inputs", InputsOf.as_view()),
    path("inputs", Inputs.as_view()),
    path("groups/<int:group>/cancel", CancelGroup.as_view()),
    path("projects/<cluster:project>/webhooks", Webhooks.as_view()),
    path("projects/<cluster:project>/webhooks/<int:webhook>", WebhookDetail.as_view()),
    path("projects/<cluster:project>/webhooks/<int:webhook>/resume", WebhookResume.as_view()),
    path("pools", Pools.as_view()),
    path("pools/<cluster:pool>", PoolDetail.as_view()),
    path("usage", Usage.as_view()),
    path("me/usage", MyUsage.as_view(), name="my-usage-data"),
]
