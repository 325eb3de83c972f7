from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerSplitView

from jobs.admin.dashboard import show_dashboard
from rainbow_site.web.api_schema import ApiSchema
from rainbow_site.web.health import healthz, readyz
from rainbow_site.web.problems import not_found

# Registers the pages of `admin.site`.
admin.autodiscover()

api = [
    # The patterns are tried in their order, and most calls are about jobs.
    path("", include("jobs.rest.urls")),
    path("", include("clusters.rest.urls")),
]

handler400 = "rainbow_site.web.problems.bad_request"
handler403 = "rainbow_site.web.pages.forbidden"
handler404 = "rainbow_site.web.pages.missing"
handler500 = "rainbow_site.web.problems.server_error"

urlpatterns = [
    # First, since the patterns are tried in this order.
    path("api/v1/", include(api)),
    path("iri/api/v2/", include("jobs.iri.urls")),
    # Its library is only imported where there is a provider.
    *([path("", include("rainbow_site.oidc.urls"))] if settings.RAINBOW_OIDC_ISSUER else []),
    path("", include("rainbow_site.console.urls")),
    path("my/", include("jobs.my.urls")),
    path("my/", include("clusters.my.urls")),
    path("healthz", healthz),
    path("readyz", readyz),
    path("api/schema", ApiSchema.as_view(), name="api-schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    re_path(r"^(?:api|iri)/", not_found),
    path("admin/", admin.site.admin_view(show_dashboard)),
    path("admin/", admin.site.urls),
]
