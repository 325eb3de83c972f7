from django.urls import path

from jobs.iri.compute import Cancel, Launched, Launches, Resources, Status, Statuses
from jobs.iri.resources import ResourceDetail, SiteDetail
from rainbow_site.web.rest import converters  # noqa: F401  (registers the converter)

urlpatterns = [
    path("compute/resources", Resources.as_view()),
    path("compute/job/<cluster:cluster>", Launches.as_view()),
    path("compute/job/<cluster:cluster>/<str:job>", Launched.as_view()),
    path("compute/status/<cluster:cluster>", Statuses.as_view()),
    path("compute/status/<cluster:cluster>/<str:job>", Status.as_view()),
    path("compute/cancel/<cluster:cluster>/<str:job>", Cancel.as_view()),
    # What resources refer to.
    path("status/resources/<cluster:cluster>", ResourceDetail.as_view(), name="iri-resource"),
    path("facility/sites/<cluster:cluster>", SiteDetail.as_view(), name="iri-site"),
]
